"""What the picture itself says about the pose: the photometric term of the fit.

Where skin point p lies in the picture, the log luminance differs by r_p from what albedo times light predicts
(``tracker.appearance``). A step d of the pose moves the point by D_p d pixels over a picture whose log luminance has the
slope g_p there. Gauss-Newton on

    (1/k) sum_p w_p rho(((r_p - g_p D_p d) / s_p)^2)

with rho Geman and McClure's function, so that what skin cannot explain (a hand, a highlight) has no say: CEST's equation 6,
made robust, on luminance and at points. Expression stays with the landmarks: columns for it made the weights noisier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.types import SkinView

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

POSE = 6
_LEAST_POINTS = 80
_TAIL = 9.0
_OUTLIER = 6.25
"""Squared errors in variances from which a point counts as unexplained, and from which its pull fades."""


@dataclass(frozen=True, slots=True)
class PhotometricConfig:
    """Weights of the photometric term."""

    correlated_points: float = 1.5
    """How many points err together."""
    least_sigma: float = 0.05
    """Standard deviation of a point's log luminance that is believed at best: a tighter one would not converge."""
    most_points: int = 600
    """Points with the steepest slopes that are used."""


@dataclass(frozen=True, slots=True)
class PoseRows:
    """The linearised term over rotation and translation: normal matrix (6, 6) and descent gradient (6,)."""

    normal: Float64
    gradient: Float64
    explained: float
    """Share of the plain skin, covered or not, that albedo times light explains, by weight, 0..1."""


def explained_share(view: SkinView, config: PhotometricConfig) -> float | None:
    """Share of the plain skin, covered or not, that albedo times light explains, by weight, 0..1; None when too few points
    count.
    """
    judged = _judged(view, config)
    return None if judged is None else judged.explained


def linearise(view: SkinView, translation: Float64, focal_px: float, config: PhotometricConfig) -> PoseRows | None:
    """The term at the state that ``view`` was taken at, with the head's origin at ``translation`` (3,); None when too few
    points count.
    """
    judged = _judged(view, config)
    if judged is None:
        return None
    sigma, squared = judged.sigma, judged.squared
    slope = view.slope()
    uncovered = judged.weight * np.square(1.0 - view.covered)
    strength = (slope[0] ** 2 + slope[1] ** 2) * uncovered
    strength[~judged.usable] = -1.0
    count = min(config.most_points, int(np.count_nonzero(judged.usable)))
    chosen = np.argpartition(-strength, count - 1)[:count]
    points, slope, error = view.points[:, chosen], slope[:, chosen], view.error[chosen]
    root = np.sqrt(uncovered[chosen] / np.float32(config.correlated_points)) / sigma[chosen]
    root /= 1.0 + squared[chosen] * np.float32(1.0 / _TAIL)
    over_depth = np.float32(focal_px) / points[2]
    # d log luminance / d point in the camera frame, weighted.
    towards = np.empty((3, count), np.float32)
    towards[0], towards[1] = slope[0] * over_depth, slope[1] * over_depth
    towards[2] = -(towards[0] * points[0] + towards[1] * points[1]) / points[2]
    towards *= root
    arm = points - translation.astype(np.float32)[:, None]
    rows = np.empty((POSE, count), np.float32)
    # A rotation by delta moves a point by delta cross arm.
    rows[0] = arm[1] * towards[2] - arm[2] * towards[1]
    rows[1] = arm[2] * towards[0] - arm[0] * towards[2]
    rows[2] = arm[0] * towards[1] - arm[1] * towards[0]
    rows[3:] = towards
    normal = (rows @ rows.T).astype(np.float64)
    return PoseRows(normal, (rows @ (error * root)).astype(np.float64), judged.explained)


@dataclass(frozen=True, slots=True)
class _Judged:
    usable: NDArray[np.bool_]
    weight: Float32
    sigma: Float32
    squared: Float32
    """Errors in variances."""
    explained: float


def _judged(view: SkinView, config: PhotometricConfig) -> _Judged | None:
    usable = (view.weight > 0.02) & np.isfinite(view.error)
    if np.count_nonzero(usable) < _LEAST_POINTS:
        return None
    sigma = np.maximum(view.sigma, np.float32(config.least_sigma))
    squared = np.where(usable, np.square(view.error / sigma), np.float32(1e6))
    weight = view.weight * usable
    bare = weight * view.is_bare
    explained = float(bare[squared < _OUTLIER].sum()) / max(float(bare.sum()), 1e-6)
    return _Judged(usable, weight, sigma, squared, explained)
