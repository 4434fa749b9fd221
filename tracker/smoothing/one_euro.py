"""The one-euro filter (Casiez, Roussel, Vogel 2012): an exponential filter whose cut-off grows with speed.

One addition: the noise of the samples is measured as they come, and only speed beyond what that noise explains opens the
filter. A fixed threshold that keeps a grainy webcam still would make a clean picture lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_NOISE_MEMORY_S: Final = 1.0
# Second differences of independent noise of variance s^2 have variance 6 s^2.
_SECOND_DIFFERENCE: Final = 6.0
# What lies beyond three standard deviations is motion and must not pass for noise.
_OUTLIER: Final = 9.0
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class OneEuroConfig:
    """Cut-offs of one parameter group."""

    min_cutoff_hz: float
    """At rest: lower is steadier."""
    beta: float
    """Hz of cut-off gained per unit of speed (parameter unit / s): higher lags less."""
    speed_cutoff_hz: float = 2.0
    """Cut-off of the speed estimate itself."""
    noise_gate: float = 0.0
    """How many standard deviations of the measured noise a speed must exceed to count; 0 is the plain filter."""


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
        self._noise = NoiseEstimate()

    def reset(self) -> None:
        """Pass the next sample through unchanged."""
        self._value = None
        self._noise = NoiseEstimate()

    def rebase(self, offset: NDArray[np.floating]) -> None:
        """Subtract ``offset`` (N,) from the state: the samples to come are measured from there."""
        if self._value is not None:
            self._value = self._value - offset
            self._noise.rebase(offset)

    def __call__(self, sample: NDArray[np.floating], step_s: float, still_s: float = 0.0) -> Float64:
        """The smoothed value of a sample taken ``step_s`` > 0 seconds after the last one.

        What is known to have been still for ``still_s`` seconds is the mean over that time: samples count ever less.
        """
        new: Float64 = np.asarray(sample, np.float64)
        variance = self._noise(new, step_s)
        if self._value is None:
            self._value, self._velocity = new.copy(), np.zeros_like(new)
            return new
        config = self._config
        share = alpha(config.speed_cutoff_hz, step_s)
        self._velocity = self._velocity + share * ((new - self._value) / step_s - self._velocity)
        # What the exponential mean of the speed leaves of noise in the samples.
        gate = config.noise_gate * math.sqrt(share / (2.0 - share)) / step_s
        speed: Any
        if self._joint:
            speed = np.linalg.norm(self._velocity) - gate * math.sqrt(float(variance.sum()))
        else:
            speed = np.abs(self._velocity) - gate * np.sqrt(variance)
        cutoff = config.min_cutoff_hz + config.beta * np.maximum(speed, 0.0)
        gain = alpha(cutoff, step_s)
        if still_s > 0.0:
            gain = np.minimum(gain, step_s / (step_s / alpha(config.min_cutoff_hz, step_s) + still_s))
        value: Float64 = self._value + gain * (new - self._value)
        self._value = value
        return value


class NoiseEstimate:
    """Running variance of the noise in samples (N,), from their second differences, which smooth motion hardly enters."""

    def __init__(self) -> None:
        self._last: list[Float64] = []
        self._count = 0
        self._variance: Float64 = np.zeros(0)

    def rebase(self, offset: NDArray[np.floating]) -> None:
        """Follow a change of origin."""
        self._last = [sample - offset for sample in self._last]

    def __call__(self, sample: Float64, step_s: float) -> Float64:
        """The variance (N,) with this sample; 0 until there are three."""
        if len(self._last) < 2:
            self._last.append(sample)
            self._variance = np.zeros_like(sample)
            return self._variance
        before, last = self._last
        squared = (sample - 2.0 * last + before) ** 2 / _SECOND_DIFFERENCE
        self._last = [last, sample]
        self._count += 1
        if self._count > 1:
            squared = np.minimum(squared, _OUTLIER * self._variance + _TINY)
        gain = max(1.0 / self._count, min(1.0, step_s / _NOISE_MEMORY_S))
        self._variance = self._variance + gain * (squared - self._variance)
        return self._variance
