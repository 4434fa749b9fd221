"""Methods by name. A folder here is a method; its module is imported when it is asked for.

``package.module:Class`` names a method that lives elsewhere.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from trainer.method import Method


def names() -> list[str]:
    """The methods that come with the trainer, in alphabetical order; nothing is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def find(name: str) -> type[Method[Any]]:
    """The class of a method. Raises ``ConfigError`` for a name that is none."""
    place, colon, attribute = name.partition(":")
    if not colon:
        if name not in names():
            close = difflib.get_close_matches(name, names(), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names()) or 'none'}"
            raise ConfigError(f"unknown method {name!r}: {hint}")
        place, attribute = f"trainer.methods.{name}", "METHOD"
    try:
        method: type[Method[Any]] = getattr(importlib.import_module(place), attribute)
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise ConfigError(f"there is no module {error.name!r} to take the method {name!r} from") from None
        raise
    except AttributeError:
        raise ConfigError(f"{place} has no {attribute!r} to take as a method") from None
    return method
