"""Options of a bridge, as text from the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tracker.bridges.spec import BridgeSpec
from tracker.errors import ConfigError


def number(spec: BridgeSpec, key: str, default: float, low: float, high: float) -> float:
    """Option ``key`` as a number in ``low..high``. Raises ``ConfigError``."""
    text = spec.options.get(key)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigError(f"--to {spec.entry.name}: {key} must be a number in {low:g}..{high:g}, got '{text}'")
    return value


def one_of(spec: BridgeSpec, key: str, valid: Sequence[str]) -> str:
    """Option ``key`` as one of ``valid``, of which the first is the default. Raises ``ConfigError``."""
    text = spec.options.get(key, valid[0])
    if text not in valid:
        raise ConfigError(f"--to {spec.entry.name}: {key} must be one of {', '.join(valid)}; got '{text}'")
    return text
