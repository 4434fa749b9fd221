"""How far off each landmark may be: a log-linear model of the error, calibrated offline.

The network gives no uncertainty of its own. ``tools/calibrate_sigma.py`` measures how far every point moves away from
its place when the crop is shifted, turned, scaled, blurred, darkened, coarsened or partly covered, regresses the
logarithm of that error on what is known about a frame for free (the features below), and scales it so that it covers
the error against hand-placed landmarks (docs/landmark_uncertainty.md). At run time this costs one small product and
an exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.landmarks.crop import Roi
from tracker.types import Float32

FEATURES: Final = (
    "one",
    "yaw",
    "yaw_squared",
    "pitch",
    "pitch_squared",
    "right_eye_closed",
    "left_eye_closed",
    "coarseness",
    "darkness",
    "doubt",
)

# Crop size the networks were made for; smaller faces are seen enlarged.
_FULL_SIZE_PX: Final = 256.0
# Lid distance over eye width of an open eye.
_OPEN_LIDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class SigmaModel:
    """log(sigma / side of the crop) of each point, linear in ``FEATURES``."""

    coefficients: Float32
    """(F, N)."""
    low: Float32
    """(F,) least value of each feature in the calibration; the model does not extrapolate."""
    high: Float32
    """(F,)."""

    @classmethod
    def load(cls, encoder: str) -> SigmaModel:
        """The shipped model of an encoder (``mediapipe`` or ``light``)."""
        with (
            (files("tracker.landmarks") / "data" / f"sigma_{encoder}.npz").open("rb") as stream,
            np.load(stream) as stored,
        ):
            return cls(stored["coefficients"], stored["low"], stored["high"])

    def predict(self, points: Float32, roi: Roi, presence: float, gain: float) -> Float32:
        """Standard deviation of the x and of the y error of each point, (N,) in image pixels.

        Args:
            points: (N, 3) landmarks in the 478-point layout, image pixels.
            roi: the crop they were read from.
            presence: probability that it shows a face.
            gain: by how much it was brightened.
        """
        values = np.clip(features(points, roi, presence, gain), self.low, self.high)
        sigma: Float32 = np.exp(values @ self.coefficients)
        sigma *= np.float32(roi.size)
        return sigma


def features(points: Float32, roi: Roi, presence: float, gain: float) -> Float32:
    """What the error of a frame's landmarks depends on, (F,) as named in ``FEATURES``; arguments as in
    ``SigmaModel.predict``.
    """
    # Inclination of the lines between the outer eye corners and from forehead to chin against the image plane.
    yaw = _inclination(points[33], points[263])
    pitch = _inclination(points[10], points[152])
    presence = min(max(presence, 1e-9), 1 - 1e-9)
    return np.array(
        [
            1.0,
            yaw,
            yaw * yaw,
            pitch,
            pitch * pitch,
            _closure(points, 159, 145, 33, 133),
            _closure(points, 386, 374, 263, 362),
            max(math.log2(_FULL_SIZE_PX / roi.size), 0.0),
            math.log2(gain),
            -math.log(presence / (1 - presence)),
        ],
        dtype=np.float32,
    )


def _inclination(start: NDArray[np.float32], end: NDArray[np.float32]) -> float:
    x, y, z = (end - start).tolist()
    return math.atan2(z, math.hypot(x, y))


def _closure(points: Float32, upper: int, lower: int, outer: int, inner: int) -> float:
    """0 for an open eye, 1 for a closed one."""
    opening = math.dist(points[upper, :2].tolist(), points[lower, :2].tolist())
    width = math.dist(points[outer].tolist(), points[inner].tolist())
    return 1.0 - min(opening / max(width, 1e-6) / _OPEN_LIDS, 1.0)
