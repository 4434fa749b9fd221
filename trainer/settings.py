"""Settings as dataclasses: one schema for files, the command line and code, checked wherever they come from."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union

from tracker.errors import ConfigError

T = TypeVar("T")


def ranged(default: Any = dataclasses.MISSING, low: float = -math.inf, high: float = math.inf) -> Any:
    """A number, or None where the type allows it, that lies in ``low``..``high`` (both included)."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings: a frozen dataclass of bool, int, float, str, ``Literal``, optional and tuple fields and of
    further ``Settings``. Types and ranges (``ranged``) are checked on construction; whole numbers serve as floats.

    Relations between fields belong to a ``__post_init__`` that calls ``super().__post_init__()`` first.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _checked(getattr(self, field.name), hints[field.name], field.name, field.metadata)
            object.__setattr__(self, field.name, value)

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Settings from nested tables of plain values; what is not given keeps its default.

        Args:
            values: field name -> value, a table for a field that is itself ``Settings``.
            where: what stands before field names in messages: ``"optimiser."``.

        Raises:
            ConfigError: an unknown field, a wrong type, a value out of range: one line with its full name.
        """
        hints = typing.get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls)]
        given: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {where}{close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
                raise ConfigError(f"unknown setting {where}{name}: {hint}")
            kind = hints[name]
            if isinstance(kind, type) and issubclass(kind, Settings) and not isinstance(value, kind):
                if not isinstance(value, Mapping):
                    raise ConfigError(f"{where}{name} must be a table of settings, got {value!r}")
                given[name] = kind.read(value, f"{where}{name}.")
            else:
                given[name] = value
        try:
            return cls(**given)
        except TypeError as error:  # a field without default
            missing = [
                f.name
                for f in dataclasses.fields(cls)
                if f.name not in given and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            ]
            if not missing:
                raise
            raise ConfigError(f"{where}{missing[0]} must be given") from error
        except ConfigError as error:
            raise ConfigError(f"{where}{error}") from None

    def plain(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values, as JSON takes them."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values


def _checked(value: Any, kind: Any, name: str, limits: Mapping[str, Any]) -> Any:
    """The value in the type that the field asks for."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _checked(value, next(a for a in arguments if a is not type(None)), name, limits)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{name} must be one of {', '.join(map(str, arguments))}; got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(f"{name} must be a list, got {value!r}")
        inner = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(inner) != len(value):
            raise ConfigError(f"{name} must have {len(inner)} values, got {len(value)}")
        return tuple(_checked(v, k, f"{name}[{i}]", limits) for i, (v, k) in enumerate(zip(value, inner, strict=True)))
    return _checked_single(value, kind, name, limits)


def _checked_single(value: Any, kind: Any, name: str, limits: Mapping[str, Any]) -> Any:
    low, high = limits.get("low", -math.inf), limits.get("high", math.inf)
    bounds = "" if (low, high) == (-math.inf, math.inf) else f" in {low:g}..{high:g}"
    if kind in (int, float):
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is int and right and not float(value).is_integer():
            right = False
        if not right or not low <= value <= high:
            raise ConfigError(f"{name} must be a {'whole ' if kind is int else ''}number{bounds}, got {value!r}")
        return kind(value)
    if kind is bool and not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
    if isinstance(kind, type) and not isinstance(value, kind):
        raise ConfigError(f"{name} must be {'text' if kind is str else f'a {kind.__name__}'}, got {value!r}")
    return value


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables laid over each other; later ones win, value by value."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = merged.get(name)
            merged[name] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def read_file(path: Path) -> dict[str, Any]:
    """The nested tables of a ``.toml`` or ``.json`` file. Raises ``ConfigError``."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the settings {path}: {error.strerror}") from None
    except ValueError as error:  # of both parsers, and of text that is none
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigError(f"{path} is not {kind}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a table of settings")
    return values


def read_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Nested tables of ``optimiser.lr=1e-4``; values as in TOML, bare words are text, ``none`` is None.

    Raises:
        ConfigError: there is no ``=``.
    """
    layers: list[dict[str, Any]] = []
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign or not all(path.strip().split(".")):
            raise ConfigError(f"--set takes NAME=VALUE, such as optimiser.lr=1e-4; got {assignment!r}")
        value: Any = _value(text.strip())
        for name in reversed(path.strip().split(".")):
            value = {name: value}
        layers.append(value)
    return merge(*layers)


def _value(text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
