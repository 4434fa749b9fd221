"""How far off: rotations, positions, weights over time, shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.fitting.pose_start import similarity as weighted_similarity

Floats = NDArray[np.floating]
Float64 = NDArray[np.float64]

ACTIVE = 0.05
"""An expression weight above this is meant."""


def angle_deg(rotations: Floats) -> Float64:
    """Angles of rotations (..., 3, 3) in degrees."""
    cosine = (np.trace(rotations, axis1=-2, axis2=-1) - 1.0) / 2.0
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def mean_rotation(rotations: Floats) -> Float64:
    """The rotation nearest to all of (N, 3, 3)."""
    left, _, right = np.linalg.svd(np.mean(rotations, axis=0))
    return np.asarray(left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right, np.float64)


def rotation_errors_deg(found: Floats, true: Floats, *, remove_offset: bool) -> Float64:
    """(N,) angles between rotations (N, 3, 3); ``remove_offset`` takes the constant difference of head axes out first."""
    if remove_offset:
        found = found @ mean_rotation(np.swapaxes(found, 1, 2) @ true)
    return angle_deg(found @ np.swapaxes(true, 1, 2))


@dataclass(frozen=True, slots=True)
class WeightScore:
    """How one expression came out over a sequence in which it was active at times."""

    correlation: float
    """Pearson's, over frames; NaN when the found weight never moves."""
    precision: float
    """Share of the found weight's sum that lies in frames where the expression is really active."""
    gain: float
    """Least-squares slope of the found weight over the true one."""


def weight_score(found: Floats, true: Floats) -> WeightScore:
    """Compare one weight (T,) with the truth (T,)."""
    active = true > ACTIVE
    total = float(found.sum())
    centred_true, centred = true - true.mean(), found - found.mean()
    spread = float(np.linalg.norm(centred_true) * np.linalg.norm(centred))
    return WeightScore(
        correlation=float(centred_true @ centred) / spread if spread > 1e-9 else float("nan"),
        precision=float(found[active].sum()) / total if total > 1e-6 else float("nan"),
        gain=float(centred_true @ centred) / max(float(centred_true @ centred_true), 1e-12),
    )


def similarity(source: Floats, target: Floats) -> tuple[float, Float64, Float64]:
    """Scale, rotation (3, 3), translation (3,) that bring points (N, 3) nearest to others (Umeyama 1991)."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    return weighted_similarity(source, target, np.ones(len(source)))


def aligned(source: Floats, target: Floats) -> Float64:
    """``source`` (N, 3) moved onto ``target`` by the best similarity."""
    scale, rotation, translation = similarity(source, target)
    return np.asarray(scale * source @ rotation.T + translation, np.float64)


def nearest(points: Floats, cloud: Floats, chunk: int = 512) -> NDArray[np.intp]:
    """(N,) index of the nearest of ``cloud`` (M, 3) to each of ``points`` (N, 3)."""
    squared = (cloud**2).sum(axis=1)
    return np.concatenate(
        [np.argmin(squared - 2.0 * points[i : i + chunk] @ cloud.T, axis=1) for i in range(0, len(points), chunk)]
    )


def surface_errors(
    points: Floats, cloud: Floats, normals: Floats, start: tuple[float, Float64, Float64], steps: int = 8
) -> Float64:
    """(N,) distances of points (N, 3) to the surface with vertices (M, 3) and normals, after ICP from ``start``."""
    scale, rotation, translation = start
    for _ in range(steps):
        moved = scale * points @ rotation.T + translation
        matches = nearest(moved, cloud)
        offset = ((moved - cloud[matches]) * normals[matches]).sum(axis=1)
        # Point to plane: the foot on the tangent plane, so that sampling density does not pull sideways.
        feet = moved - offset[:, None] * normals[matches]
        keep = np.abs(offset) <= np.percentile(np.abs(offset), 95)
        scale, rotation, translation = similarity(points[keep], feet[keep])
    moved = scale * points @ rotation.T + translation
    matches = nearest(moved, cloud)
    return np.abs(((moved - cloud[matches]) * normals[matches]).sum(axis=1))
