"""A teacher that takes its time: landmarks averaged over many views of one crop.

The built-in network answers differently when its crop is shifted, turned, scaled or mirrored; the mean of many answers has a
third of one answer's scatter and no preference for a side. How far the answers scatter says how far to trust the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.face_model import load_face_model
from tracker.landmarks.crop import Roi
from tracker.landmarks.mediapipe478 import SET_NAME, MediaPipeEncoder
from tracker.types import Float32, ImageRGB

VIEWS: Final = 12
"""Half of them mirrored."""
_SHIFT, _TURN_RAD, _SCALE = 0.03, 0.10, 0.07


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the teacher says about one face; image pixels."""

    points: Float32
    """(478, 3)."""
    scatter: Float32
    """(478,) standard deviation of single answers, per coordinate."""
    sigma: Float32
    """(478,) the total error that the calibrated model of the teacher expects."""
    scores: Float32
    """(52,) expression scores."""
    presence: float


@cache
def mirrored_points() -> NDArray[np.intp]:
    """(478,) which landmark each becomes in a mirrored face."""
    model = load_face_model()
    points = model.landmarks(model.template, SET_NAME).astype(np.float64)
    partner = np.linalg.norm((points * [-1.0, 1.0, 1.0])[:, None] - points[None], axis=2).argmin(axis=1)
    return np.asarray(partner, np.intp)


@cache
def mirrored_scores() -> NDArray[np.intp]:
    """(52,) which expression each becomes in a mirrored face."""
    swap = {"Left": "Right", "Right": "Left"}
    names = []
    for name in ARKIT_NAMES:
        side = next((each for each in swap if name.endswith(each)), None)
        names.append(name if side is None else name.removesuffix(side) + swap[side])
    return np.array([ARKIT_INDEX[name] for name in names])


class Teacher:
    """The built-in encoder, asked ``views`` times."""

    def __init__(self, views: int = VIEWS, seed: int = 0) -> None:
        """Load the networks. Raises NetworkAssetError when they have not been fetched."""
        self._encoder = MediaPipeEncoder()
        self._views = views
        self._rng = np.random.default_rng(seed)

    def look(self, image: ImageRGB, roi: Roi) -> Lesson:
        """Landmarks of the face in ``roi`` of ``image`` (H, W, 3)."""
        width = image.shape[1]
        flipped = np.ascontiguousarray(image[:, ::-1])
        points, scores, sigmas, presence = [], [], [], []
        for view in range(self._views):
            seen_in = self._jittered(roi)
            mirror = view % 2 == 1
            if mirror:
                seen_in = Roi(width - seen_in.cx, seen_in.cy, seen_in.size, -seen_in.rotation)
            found = self._encoder.encode(flipped if mirror else image, seen_in)
            marks, hint = found.landmarks.points, found.arkit_hint
            if mirror:
                marks = marks[mirrored_points()] * np.array([-1.0, 1.0, 1.0], np.float32)
                marks[:, 0] += width
                hint = None if hint is None else hint[mirrored_scores()]
            points.append(marks)
            sigmas.append(found.landmarks.sigma)
            presence.append(found.presence)
            if hint is not None:
                scores.append(hint)
        stacked = np.stack(points)
        stacked[:, :, 2] -= stacked[:, :, 2].mean(axis=1, keepdims=True) - stacked[:, :, 2].mean()
        mean = np.median(stacked, axis=0).astype(np.float32)
        return Lesson(
            points=mean,
            scatter=np.sqrt(((stacked - mean)[..., :2] ** 2).mean(axis=(0, 2))).astype(np.float32),
            sigma=np.mean(sigmas, axis=0).astype(np.float32),
            scores=np.mean(scores, axis=0).astype(np.float32) if scores else np.full(52, np.nan, np.float32),
            presence=float(np.mean(presence)),
        )

    def _jittered(self, roi: Roi) -> Roi:
        shift_x, shift_y = self._rng.normal(0.0, _SHIFT, 2) * roi.size
        return Roi(
            roi.cx + float(shift_x),
            roi.cy + float(shift_y),
            roi.size * math.exp(float(self._rng.normal(0.0, _SCALE))),
            roi.rotation + float(self._rng.normal(0.0, _TURN_RAD)),
        )
