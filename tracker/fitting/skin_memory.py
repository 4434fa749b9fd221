"""What a face looked like in its last undisturbed frames, beyond what its skin and the light predict.

Albedo times light leaves an error at every point that stays much the same from frame to frame: light that harmonics do not hold,
shadows, and where the landmarks' pose usually lies beside the picture's own. A pose sought without it lands a degree away from
the one that was published a frame ago. So the error is remembered, and asked for again where landmarks cannot be believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32, SkinView

_RATE: Final = 0.1
"""Share of a frame in what is remembered: the landmarks' noise averages out over ten."""
_FIRST_SIGMA: Final = 0.07
_LEAST_SIGMA: Final = 0.03
_VARIANCE_RATE: Final = 0.05
_TAIL: Final = 6.0
_LEAST_WEIGHT: Final = 0.02


class SkinMemory:
    """Remembers the errors of one face's points."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Another person, or the same one after a gap."""
        self._error: Float32 = np.zeros(0, np.float32)
        self._variance: Float32 = np.zeros(0, np.float32)
        self._known: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def learn(self, view: SkinView) -> None:
        """Take in a frame whose pose is believed."""
        if self._known.size != view.total:
            self._error = np.zeros(view.total, np.float32)
            self._variance = np.full(view.total, _FIRST_SIGMA**2, np.float32)
            self._known = np.zeros(view.total, np.bool_)
        index, usable = view.index, (view.weight > _LEAST_WEIGHT) & np.isfinite(view.error)
        known, variance = self._known[index], self._variance[index]
        away = np.where(usable, view.error - self._error[index], np.float32(0.0))
        free = np.square(1.0 - view.covered) * usable
        self._error[index] += np.where(known, np.float32(_RATE) * free, free) * away
        grown = np.minimum(np.square(away), np.float32(_TAIL) * variance) - variance
        self._variance[index] += np.float32(_VARIANCE_RATE) * free * known * grown
        self._known[index] |= usable & (view.covered < 0.5)

    def beyond(self, view: SkinView) -> SkinView | None:
        """``view`` with what is remembered taken out of its errors, and weights of how stiff its points are; None when nothing
        is remembered.
        """
        if self._known.size != view.total:
            return None
        index = view.index
        error: Float32 = view.error - self._error[index]
        weight: Float32 = view.weight * view.stiffness * self._known[index]
        inlier = (view.covered < 0.5) & (weight > _LEAST_WEIGHT)
        if inlier.any():
            # The exposure was found without it.
            error = error - np.median(error[inlier]).astype(np.float32)
        sigma = np.sqrt(np.maximum(self._variance[index], np.float32(_LEAST_SIGMA**2)))
        return replace(view, error=error, sigma=sigma.astype(np.float32), weight=weight)
