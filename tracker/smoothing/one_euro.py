"""The one-euro filter (Casiez, Roussel, Vogel 2012): an exponential filter whose cut-off grows with speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OneEuroConfig:
    """Cut-offs of one parameter group."""

    min_cutoff_hz: float
    """At rest: lower is steadier."""
    beta: float
    """Hz of cut-off gained per unit of speed (parameter unit / s): higher lags less."""
    speed_cutoff_hz: float = 2.0
    """Cut-off of the speed estimate itself."""
    dead_speed: float = 0.0
    """Speed that noise alone causes; only what exceeds it opens the filter."""


def alpha(cutoff_hz: Any, step_s: float) -> Any:
    """Share of the new sample in an exponential filter with this cut-off at this time step."""
    rate = 2.0 * math.pi * cutoff_hz * step_s
    return rate / (rate + 1.0)


class OneEuroFilter:
    """Filters vectors (N,).

    With ``joint=True`` one cut-off serves the whole vector, from the norm of its velocity (positions, rotations); otherwise
    each entry has its own (expression weights).
    """

    def __init__(self, config: OneEuroConfig, *, joint: bool) -> None:
        self._config = config
        self._joint = joint
        self._value: Float64 | None = None
        self._velocity: Float64 = np.zeros(0)

    def reset(self) -> None:
        """Pass the next sample through unchanged."""
        self._value = None

    def rebase(self, offset: NDArray[np.floating]) -> None:
        """Subtract ``offset`` (N,) from the state: the samples to come are measured from there."""
        if self._value is not None:
            self._value = self._value - offset

    def __call__(self, sample: NDArray[np.floating], step_s: float) -> Float64:
        """The smoothed value of a sample taken ``step_s`` > 0 seconds after the last one."""
        new: Float64 = np.asarray(sample, np.float64)
        if self._value is None:
            self._value, self._velocity = new.copy(), np.zeros_like(new)
            return new
        config = self._config
        share = alpha(config.speed_cutoff_hz, step_s)
        self._velocity = self._velocity + share * ((new - self._value) / step_s - self._velocity)
        speed = np.linalg.norm(self._velocity) if self._joint else np.abs(self._velocity)
        cutoff = config.min_cutoff_hz + config.beta * np.maximum(speed - config.dead_speed, 0.0)
        value: Float64 = self._value + alpha(cutoff, step_s) * (new - self._value)
        self._value = value
        return value
