"""Which points of a face are covered: what the picture shows there against what skin under this light would look like.

Two hypotheses for each point. Skin: the log colour differs from the prediction by the usual misfit (its scale adapts), by what
is not yet known about the skin there, and by what a misplaced point gets wrong next to an edge. Something else: any colour
within the range of things. Both are Student-t in luminance and in colour; their log ratio is evidence, tempered because
neighbours err together. Neighbours mostly agree (a Potts field on the point graph, solved by mean-field sweeps), and so does a
point with itself a frame ago.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.points import SkinPoints

Float32 = NDArray[np.float32]

_DEGREES: Final = 5.0
_OTHER_LUMINANCE, _OTHER_COLOUR = 0.55, 0.18
_TEMPER: Final = 0.5
_RARE, _STAYS = 0.02, 0.60
"""Chance that a point is covered, and what having been covered a frame ago adds."""
_COUPLING: Final = 0.45
_SWEEPS: Final = 3
_MISPLACED: Final = 0.6
"""Registration error in point spacings."""
_SCALE_RATE: Final = 0.05
_LUMINANCE_RANGE: Final = (0.025, 0.12)
_COLOUR_RANGE: Final = (0.012, 0.06)
_EVIDENCE_LIMIT: Final = 8.0


class OcclusionField:
    """Probability of being covered for the points of one face."""

    def __init__(self, points: SkinPoints) -> None:
        self._neighbours = points.neighbours
        self.probability: Float32 = np.full(points.count, _RARE, np.float32)
        """(P,) as of the last frame; points that are not visible fall back to what is usual."""
        self.luminance_scale = 0.08
        """Usual misfit of log luminance."""
        self.colour_scale = 0.04
        """Usual misfit of log colour beside it."""
        self._started = False

    def observe(self, residual: Float32, visible: NDArray[np.bool_], variance: Float32, contrast: Float32) -> Float32:
        """Take in one frame and return ``probability``.

        Args:
            residual: (P, 3) log colour minus its prediction.
            visible: (P,) where the residual means something.
            variance: (P,) of log luminance, from what is not known about the skin and from camera noise.
            contrast: (P,) change of log luminance to the neighbouring points.
        """
        luminance = residual.mean(axis=1)
        colour = residual - luminance[:, None]
        colour_squared = (colour**2).sum(axis=1) * np.float32(0.5)
        edge = np.square(np.float32(_MISPLACED) * contrast)
        variance_l = np.float32(self.luminance_scale**2) + variance + edge
        variance_c = np.float32(self.colour_scale**2) + np.float32(0.15) * (variance + edge)
        other_l, other_c = np.float32(_OTHER_LUMINANCE**2), np.float32(_OTHER_COLOUR**2)
        # Minus log densities, skin minus something else; two degrees of freedom in colour.
        evidence = 0.5 * np.log(variance_l / (variance_l + other_l)) + np.log(variance_c / (variance_c + other_c))
        half = np.float32(0.5 * (_DEGREES + 1.0))
        luminance_squared = np.square(luminance)
        evidence += half * (_tail(luminance_squared, variance_l) - _tail(luminance_squared, variance_l + other_l))
        half = np.float32(0.5 * (_DEGREES + 2.0))
        evidence += half * (_tail(2.0 * colour_squared, variance_c) - _tail(2.0 * colour_squared, variance_c + other_c))
        evidence *= np.float32(_TEMPER)
        np.clip(evidence, -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT, out=evidence)
        chance = np.float32(_RARE) + np.float32(_STAYS) * self.probability
        evidence = np.where(visible, evidence, np.float32(0.0)) + np.log(chance / (1.0 - chance))
        self.probability = self._regularised(evidence, visible)
        self._adapt(luminance, colour_squared, visible)
        return self.probability

    def _regularised(self, evidence: Float32, visible: NDArray[np.bool_]) -> Float32:
        lean = np.where(visible, np.tanh(0.5 * evidence), np.float32(0.0))
        for _ in range(_SWEEPS):
            field = evidence + np.float32(_COUPLING) * lean[self._neighbours].sum(axis=1)
            lean = np.tanh(np.float32(0.5) * field)
            lean *= visible
        probability: Float32 = np.where(visible, 0.5 + 0.5 * np.tanh(np.float32(0.5) * field), np.float32(_RARE))
        return probability

    def _adapt(self, luminance: Float32, colour_squared: Float32, visible: NDArray[np.bool_]) -> None:
        trusted = visible & (self.probability < 0.5)
        if np.count_nonzero(trusted) < 50:
            return
        # Medians, made standard deviations of a Gaussian (one and two degrees of freedom).
        of_luminance = 1.4826 * float(np.median(np.abs(luminance[trusted])))
        of_colour = float(np.sqrt(np.median(colour_squared[trusted]) / np.log(2.0)))
        rate = _SCALE_RATE if self._started else 0.5
        self._started = True
        self.luminance_scale += rate * (float(np.clip(of_luminance, *_LUMINANCE_RANGE)) - self.luminance_scale)
        self.colour_scale += rate * (float(np.clip(of_colour, *_COLOUR_RANGE)) - self.colour_scale)


def _tail(squared: Float32, variance: Float32) -> Float32:
    tail: Float32 = np.log1p(squared / (variance * np.float32(_DEGREES)))
    return tail
