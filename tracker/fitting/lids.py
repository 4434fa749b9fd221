"""How far each eye of one person is shut, from the gap between its lids against that eye's own gap when open.

A blink score of the networks stands for another gap in every face: shut eyes of real people score 0.46 to 0.85, open ones that
look down up to 0.5, and rendered ones hardly reach 0.5. The gap itself, over the width of the eye, closes to 0.1 or less on all
real ones. With the gap known neither score nor height of the iris made a better estimate (least squares over labelled clips and
rendered people), so the score serves only to tell when the eyes are open, and where there are no lids to measure.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.types import Landmarks

Float32 = NDArray[np.float32]

# Per eye, left first: three points of the upper lid, those opposite on the lower one, and both corners.
_UPPER: Final = (385, 386, 387, 160, 159, 158)
_LOWER: Final = (380, 374, 373, 144, 145, 153)
_INNER: Final = (362, 133)
_OUTER: Final = (263, 33)
_LEAST_WIDTH: Final = 1e-6

_COMMON_GAP: Final = 0.33
"""Of open eyes, over their width."""
_LEAST_GAP: Final = 0.15
_COMMON_FRAMES: Final = 4.0
"""Open frames that the common gap counts as."""
_LONGEST_MEMORY: Final = 400.0
_OPEN_SCORE: Final = (0.15, 0.15)
"""Blink score of open eyes, and how far above it an eye counts as moving."""
_GAPS: Final = (0.3, 0.6, 0.9)
_SHUT: Final = (1.0, 0.2, 0.0)
"""Shares of the open gap, and how far the eye is shut there: lids that droop, or follow a glance down, are little of a blink."""
_SCORES: Final = (0.27, 0.51)
"""Blink scores of an open and of a shut eye, where there is nothing but scores."""


class Lids:
    """Learns one person's open eyes and reads from them how far they are shut."""

    def __init__(self, set_name: str) -> None:
        self._known = set_name == "mediapipe478"
        self._blinks = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]
        self._from = np.array(_UPPER + _INNER)
        self._to = np.array(_LOWER + _OUTER)
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self.open_gap = [_COMMON_GAP, _COMMON_GAP]
        """Between the lids of the open eyes, left and right, over the width of the eye."""
        self._seen = [_COMMON_FRAMES, _COMMON_FRAMES]

    def __call__(self, landmarks: Landmarks, scores: Float32, *, learn: bool = True) -> Float32:
        """Scores (52,) in which those of blinks are how far the eyes are shut, 0..1.

        ``learn=False``: something is in front of the face, and what the lids do teaches nothing.
        """
        heard = scores.copy()
        if not self._known:
            told = scores[self._blinks]
            heard[self._blinks] = np.clip((told - _SCORES[0]) / (_SCORES[1] - _SCORES[0]), 0.0, 1.0)
            return heard
        for eye, gap in enumerate(self._gaps(landmarks.points)):
            blink = self._blinks[eye]
            if learn:
                self._learn(eye, gap, float(scores[blink]))
            heard[blink] = _shut(gap / max(self.open_gap[eye], _LEAST_GAP))
        return heard

    def _learn(self, eye: int, gap: float, score: float) -> None:
        weight = math.exp(-((max(score - _OPEN_SCORE[0], 0.0) / _OPEN_SCORE[1]) ** 2))
        self._seen[eye] = min(self._seen[eye] + weight, _LONGEST_MEMORY)
        self.open_gap[eye] += weight / self._seen[eye] * (gap - self.open_gap[eye])

    def _gaps(self, points: Float32) -> tuple[float, float]:
        apart = points[self._from] - points[self._to]
        a, b, c, d, e, f, left, right = np.sqrt(np.einsum("ij,ij->i", apart, apart)).tolist()
        return (a + b + c) / (3.0 * max(left, _LEAST_WIDTH)), (d + e + f) / (3.0 * max(right, _LEAST_WIDTH))


def _shut(share: float) -> float:
    """How far an eye is shut whose gap is this share of the open one."""
    shut, half, opened = _GAPS
    if share <= half:
        return min(1.0, _SHUT[1] + (half - share) / (half - shut) * (1.0 - _SHUT[1]))
    return max(0.0, (opened - share) / (opened - half)) * _SHUT[1]
