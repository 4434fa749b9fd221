"""How far each eye of one person is shut, from the gap between its lids against that eye's own gap when open.

A blink score of the networks stands for another gap in every face: shut eyes of real people score 0.46 to 0.85, open ones that
look down up to 0.5, and rendered ones hardly reach 0.5. The gap itself, over the width of the eye, closes to 0.1 or less on all
of them. With the gap known neither score nor height of the iris made a better estimate (least squares over labelled clips and rendered
people), so the score serves only to tell when the eyes are open, and where there are no lids to measure.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.types import Landmarks

Float32 = NDArray[np.float32]

# Per eye, left first: three points of the upper lid, those opposite on the lower one, and the corners.
_UPPER: Final = (385, 386, 387, 160, 159, 158)
_LOWER: Final = (380, 374, 373, 144, 145, 153)
_CORNERS: Final = (362, 33, 263, 133)
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
"""Shares of the open gap, and how far the eye is shut there: lids that droop, or follow a glance down, are little of a blink."""
_SHUT: Final = (1.0, 0.15, 0.0)
_SCORES: Final = (0.27, 0.51)
"""Blink scores of an open and of a shut eye, where there is nothing but scores."""


class Lids:
    """Learns one person's open eyes and reads from them how far they are shut."""

    def __init__(self, set_name: str) -> None:
        self._known = set_name == "mediapipe478"
        self._blinks = np.array([ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]])
        self._indices = np.array(_UPPER + _LOWER + _CORNERS)
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self.open_gap = np.full(2, _COMMON_GAP, np.float32)
        """(2,) gap between the lids of the open eyes, left and right, over the width of the eye."""
        self._seen = np.full(2, _COMMON_FRAMES, np.float32)

    def __call__(self, landmarks: Landmarks, scores: Float32, *, learn: bool = True) -> Float32:
        """Scores (52,) in which those of blinks are how far the eyes are shut, 0..1.

        ``learn=False``: something is in front of the face, and what the lids do teaches nothing.
        """
        told = scores[self._blinks]
        heard = scores.copy()
        if not self._known:
            heard[self._blinks] = np.clip((told - _SCORES[0]) / (_SCORES[1] - _SCORES[0]), 0.0, 1.0)
            return heard
        gap = self._gap(landmarks.points)
        if learn:
            active = np.maximum(told - _OPEN_SCORE[0], 0.0) / _OPEN_SCORE[1]
            weight = np.exp(-(active * active))
            self._seen = np.minimum(self._seen + weight, _LONGEST_MEMORY)
            self.open_gap += weight / self._seen * (gap - self.open_gap)
        heard[self._blinks] = np.interp(gap / np.maximum(self.open_gap, _LEAST_GAP), _GAPS, _SHUT)
        return heard

    def _gap(self, points: Float32) -> Float32:
        upper, lower, corners = np.split(points[self._indices], (len(_UPPER), len(_UPPER) + len(_LOWER)))
        between = upper - lower
        across = corners[:2] - corners[2:]
        height = np.sqrt((between * between).sum(axis=1)).reshape(2, 3).mean(axis=1)
        width = np.sqrt((across * across).sum(axis=1))
        gap: Float32 = height / np.maximum(width, _LEAST_WIDTH)
        return gap
