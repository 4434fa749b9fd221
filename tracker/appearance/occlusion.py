"""Which points of a face are covered: what the picture shows there against what skin under this light would look like.

Three hypotheses for each point. Skin: the log colour differs from the prediction by the usual misfit of that point (learned)
and of this frame, by what is not yet known about the skin there, and by what a misplaced point gets wrong next to an edge. A
thing: any colour. Other skin, a hand: about the same colour, another brightness. Densities are Student-t in luminance and in
colour, and log ratios are evidence.

Light that the harmonics do not hold is smooth on a face, and a hand is as skin-coloured as a cheek; but its fingers, folds and
edges are not where the face has its own. So the detail of the residual, which a point has beyond its surroundings, counts as
evidence of its own: chi-square, with the variance that is usual at that point.

Neighbours mostly agree (a Potts field on the point graph, solved by mean-field sweeps), and so does a point with itself a
frame ago.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.points import SkinPoints

Float32 = NDArray[np.float32]

_DEGREES: Final = 5.0
_THING: Final = (0.55, 0.18)
"""Standard deviation of log luminance, and of log colour beside it, between skin and any object."""
_HAND: Final = (0.30, 0.05)
"""The same between one part of the skin and another, differently lit."""
_TEMPER: Final = 0.6
_RARE, _STAYS = 0.02, 0.70
"""Chance that a point is covered, and what having been covered a frame ago adds."""
_COUPLING: Final = 0.55
_SWEEPS: Final = 3
_MISPLACED: Final = 0.6
"""Registration error in point spacings."""
_FOLD_LUMINANCE, _FOLD_DETAIL = 0.6, 0.5
"""Change of log luminance, and of its detail, per log stretch: folds of a smile, a chin pulled smooth."""
_MOST_STRETCH: Final = 0.4
_EVIDENCE_LIMIT: Final = np.float32(8.0)
_SPREAD_LUMINANCE, _SPREAD_COLOUR = (
    np.array([[0.0], [_THING[axis] ** 2], [_HAND[axis] ** 2]], np.float32) for axis in (0, 1)
)
"""(3, 1) variances that skin, a thing and a hand have beyond skin's."""
USUAL_LUMINANCE, _USUAL_COLOUR, USUAL_DETAIL = 0.07, 0.03, 0.035
"""Standard deviation of what is not known yet."""
_OTHER_DETAIL: Final = 0.11
"""Detail of hands and things where the face has none."""
_DETAIL_POINTS: Final = 3.0
"""Independent ones among a point and its neighbours."""
_DETAIL_EVIDENCE: Final = (-1.5, 3.5)
"""Smooth is also the inside of many a thing; and a fold of the face makes detail too."""
_LEARNED_PER_FRAME: Final = 0.01
_VARIANCE_RANGE: Final = (0.02**2, 0.12**2)
_DETAIL_RANGE: Final = (0.015**2, 0.08**2)
_COLOUR_RANGE: Final = (0.010, 0.06)
_WORST_FRAME: Final = 2.0
"""How much more than usual a frame may misfit as a whole."""
_SUBSET: Final = 3
"""Medians are taken over every third point."""
_LEAST_POINTS: Final = 50
_LEAST_AROUND: Final = 3


class OcclusionField:
    """Probability of being covered for the points of one face."""

    def __init__(self, points: SkinPoints) -> None:
        # numpy converts narrower indices at every use.
        self._neighbours = points.neighbours.astype(np.intp)
        self.probability: Float32 = np.full(points.count, _RARE, np.float32)
        """(P,) as of the last frame; points that are not visible fall back to what is usual."""
        self.variance: Float32 = np.full(points.count, USUAL_LUMINANCE**2, np.float32)
        """(P,) of the log luminance that uncovered skin shows around its prediction."""
        self.detail_variance: Float32 = np.full(points.count, USUAL_DETAIL**2, np.float32)
        """(P,) the same of what a point's residual has beyond its surroundings'."""
        self._surroundings = points.surroundings.astype(np.intp)
        self.colour_scale = _USUAL_COLOUR
        """Usual misfit of log colour beside luminance."""

    def uncover(self) -> None:
        """Forget what was covered; how well the points are usually predicted stays."""
        self.probability = np.full(self.probability.shape, _RARE, np.float32)

    def observe(
        self, index: NDArray[np.intp], residual: Float32, variance: Float32, edge: Float32, stretch: Float32
    ) -> Float32:
        """Take in one frame and return ``probability`` (M,) of the points it shows.

        Args:
            index: (M,) the points.
            residual: (3, M) log colour minus its prediction.
            variance: (M,) of log luminance, from what is not known about the skin and from camera noise.
            edge: (M,) mean squared change of log luminance to the neighbouring points.
            stretch: (M,) log of the skin's local area over that of the relaxed face.
        """
        luminance = residual.mean(axis=0)
        squared = np.square(luminance)
        colour = np.square(residual).sum(axis=0) - 3.0 * squared
        folded = np.minimum(np.square(stretch), np.float32(_MOST_STRETCH**2))
        known_badly = variance + np.float32(_MISPLACED**2) * edge
        unknown = known_badly + np.float32(_FOLD_LUMINANCE**2) * folded
        usual = self.variance[index]
        usual *= self._frame_scale(squared, usual + unknown)
        variance_l = usual + unknown + _SPREAD_LUMINANCE
        variance_c = np.float32(self.colour_scale**2) + np.float32(0.15) * unknown + _SPREAD_COLOUR
        skin, thing, hand = _surprise(squared, colour, variance_l, variance_c)
        evidence = (skin - np.minimum(thing, hand)) * np.float32(_TEMPER)
        np.minimum(np.maximum(evidence, -_EVIDENCE_LIMIT, out=evidence), _EVIDENCE_LIMIT, out=evidence)
        detail = self._detail(index, luminance)
        neighbours = np.take(self._neighbours, index, axis=1)
        evidence += self._detail_evidence(index, neighbours, detail, known_badly + np.float32(_FOLD_DETAIL**2) * folded)
        chance = np.float32(_RARE) + np.float32(_STAYS) * self.probability[index]
        evidence += np.log(chance / (1.0 - chance))
        probability = self._regularised(index, neighbours, evidence)
        self._adapt(index, squared, colour, detail, probability)
        return probability

    def _detail(self, index: NDArray[np.intp], luminance: Float32) -> Float32:
        """(M,) squared difference between a point's residual and that of its surroundings."""
        shown = np.zeros((2, self.probability.size), np.float32)
        shown[0, index], shown[1, index] = luminance, 1.0
        total = np.take(shown, np.take(self._surroundings, index, axis=1), axis=1).sum(axis=1)
        detail: Float32 = np.square(luminance - total[0] / np.maximum(total[1], 1.0)) * (total[1] >= _LEAST_AROUND)
        return detail

    def _detail_evidence(
        self, index: NDArray[np.intp], neighbours: NDArray[np.intp], detail: Float32, unknown: Float32
    ) -> Float32:
        usual = self.detail_variance[index] + unknown
        # What each is beyond its usual, averaged with the neighbours.
        ratio = np.ones(self.probability.size, np.float32)
        ratio[index] = detail / (usual * self._frame_scale(detail, usual))
        ratio = (np.take(ratio, neighbours).sum(axis=0) + ratio[index]) / np.float32(1.0 + len(neighbours))
        spread = usual / (usual + _f32(_OTHER_DETAIL**2))
        evidence = np.float32(0.5 * _DETAIL_POINTS) * (np.log(spread) + ratio * (1.0 - spread))
        return _between(evidence, _DETAIL_EVIDENCE)

    def _frame_scale(self, squared: Float32, variance: Float32) -> np.float32:
        """By how much this frame's misfit as a whole exceeds the usual variance."""
        some = squared[::_SUBSET] / variance[::_SUBSET]
        # 0.455 is the median of a squared standard normal.
        ratio = float(np.partition(some, some.size // 2)[some.size // 2]) / 0.455
        return np.float32(min(max(ratio, 1.0), _WORST_FRAME**2))

    def _regularised(self, index: NDArray[np.intp], neighbours: NDArray[np.intp], evidence: Float32) -> Float32:
        lean = np.zeros(self.probability.shape, np.float32)
        lean[index] = np.tanh(np.float32(0.5) * evidence)
        for _ in range(_SWEEPS):
            field = evidence + np.float32(_COUPLING) * np.take(lean, neighbours).sum(axis=0)
            lean[index] = np.tanh(np.float32(0.5) * field)
        probability = np.float32(0.5) + np.float32(0.5) * lean[index]
        self.probability = np.full(self.probability.shape, _RARE, np.float32)
        self.probability[index] = probability
        return probability

    def _adapt(
        self, index: NDArray[np.intp], squared: Float32, colour: Float32, detail: Float32, probability: Float32
    ) -> None:
        share = np.float32(_LEARNED_PER_FRAME) * np.square(np.float32(1.0) - probability)
        before = self.variance[index]
        self.variance[index] = _between(before + share * (squared - before), _VARIANCE_RANGE)
        before = self.detail_variance[index]
        self.detail_variance[index] = _between(before + share * (detail - before), _DETAIL_RANGE)
        trusted = colour[::_SUBSET][probability[::_SUBSET] < 0.5]
        if trusted.size < _LEAST_POINTS:
            return
        # The median of two squared normals of variance v is 2 ln 2 v.
        of_colour = float(np.sqrt(np.partition(trusted, trusted.size // 2)[trusted.size // 2] / (2.0 * np.log(2.0))))
        of_colour = min(max(of_colour, _COLOUR_RANGE[0]), _COLOUR_RANGE[1])
        self.colour_scale += _LEARNED_PER_FRAME * (of_colour - self.colour_scale)


def _f32(value: float) -> np.float32:
    return np.float32(value)


def _between(values: Float32, limits: tuple[float, float]) -> Float32:
    clipped: Float32 = np.minimum(np.maximum(values, np.float32(limits[0])), np.float32(limits[1]))
    return clipped


def _surprise(squared: Float32, colour: Float32, variance_l: Float32, variance_c: Float32) -> Float32:
    """Minus the log density of a residual: Student-t in luminance (one dimension) and colour (two)."""
    degrees = np.float32(_DEGREES)
    surprise = np.float32(0.5) * np.log(variance_l * np.square(variance_c))
    surprise += np.float32(0.5 * (_DEGREES + 1.0)) * np.log1p(squared / (degrees * variance_l))
    surprise += np.float32(0.5 * (_DEGREES + 2.0)) * np.log1p(colour / (degrees * variance_c))
    return surprise
