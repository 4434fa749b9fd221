"""Similarity transforms: scale, rotation, translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Similarity:
    """``x -> scale * rotation @ x + translation``."""

    scale: float
    rotation: Float64
    """(3, 3)."""
    translation: Float64
    """(3,)."""

    def apply(self, points: NDArray[np.floating]) -> Float64:
        """Points (n, 3) moved."""
        result: Float64 = self.scale * (np.asarray(points, np.float64) @ self.rotation.T) + self.translation
        return result

    @property
    def inverse(self) -> Similarity:
        """The transform that undoes this one."""
        rotation = self.rotation.T
        return Similarity(1.0 / self.scale, rotation, -(rotation @ self.translation) / self.scale)


def align(source: NDArray[np.floating], target: NDArray[np.floating], weight: Float64 | None = None) -> Similarity:
    """The similarity that takes ``source`` (n, 3) nearest to ``target`` (n, 3) in weighted least squares (Umeyama 1991)."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    share = np.full(len(source), 1.0) if weight is None else np.asarray(weight, np.float64)
    share = share / share.sum()
    from_middle, to_middle = share @ source, share @ target
    x, y = source - from_middle, target - to_middle
    left, values, right = np.linalg.svd((y * share[:, None]).T @ x)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = float((values * signs).sum() / (share @ (x * x).sum(axis=1)))
    return Similarity(scale, rotation, to_middle - scale * rotation @ from_middle)


def align_robustly(
    source: NDArray[np.floating], target: NDArray[np.floating], weight: Float64, rounds: int = 10
) -> Similarity:
    """``align`` with Cauchy weights, so that single points far off do not pull: iteratively reweighted least squares."""
    share = weight
    for _ in range(rounds):
        found = align(source, target, share)
        residual = np.linalg.norm(found.apply(source) - target, axis=1)
        spread = max(1.5 * float(np.median(residual[weight > 0])), 1e-12)
        share = weight / (1.0 + (residual / spread) ** 2)
    return found
