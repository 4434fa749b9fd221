"""Smooth maps between heads of different models, through points that both have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Float64 = NDArray[np.float64]


class ThinPlate:
    """The map R^3 -> R^3 that takes points to others and bends least in between (Duchon 1977; kernel |r| in three dimensions).

    Args:
        source: (N, 3) where the points are, N >= 4 and not in one plane.
        target: (N, 3) where they go.
        smoothing: 0 hits every target; larger values trade exactness for smoothness. In units of ``source``.
    """

    def __init__(self, source: Floats, target: Floats, smoothing: float = 0.0) -> None:
        self._source = np.asarray(source, np.float64)
        count = len(self._source)
        kernel = -_distances(self._source, self._source) - smoothing * np.eye(count)
        affine = np.concatenate([np.ones((count, 1)), self._source], axis=1)
        system = np.block([[kernel, affine], [affine.T, np.zeros((4, 4))]])
        wanted = np.concatenate([np.asarray(target, np.float64), np.zeros((4, 3))])
        self._coefficients: Float64 = np.linalg.solve(system, wanted)

    def __call__(self, points: Floats) -> Float64:
        """Where points (M, 3) go, (M, 3)."""
        affine = np.concatenate([np.ones((len(points), 1)), points], axis=1)
        bent: Float64 = np.concatenate([-_distances(points, self._source), affine], axis=1) @ self._coefficients
        return bent


def _distances(one: Floats, other: Floats) -> Float64:
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2.0 * one @ other.T
    return np.sqrt(np.maximum(squared.astype(np.float64), 0.0))
