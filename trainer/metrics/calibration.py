"""Whether predicted sigmas say how far off landmarks are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Calibration:
    """Predicted against actual error, landmarks sorted by what was predicted."""

    predicted: tuple[float, ...]
    """Root mean square of the predicted sigmas in each bin, rising."""
    actual: tuple[float, ...]
    """Root mean square error per coordinate of the same landmarks; equal to ``predicted`` when calibrated."""
    rank_correlation: float
    """Spearman's, between the sigma and the error of single landmarks: 0 says nothing, 1 sorts them rightly."""

    @property
    def ratio(self) -> float:
        """Predicted over actual, over everything: above 1 too careful, below 1 too confident."""
        mean = np.mean(np.square(self.predicted)) / max(float(np.mean(np.square(self.actual))), 1e-30)
        return float(np.sqrt(mean))


def sigma_calibration(points: Tensor, sigma: Tensor, truth: Tensor, bins: int = 10) -> Calibration:
    """Compare predicted with actual errors by decile of sigma, over all known landmarks of all images.

    Args:
        points: (B, L, D) predicted.
        sigma: (B, L, D) standard deviations predicted, in the unit of the points.
        truth: (B, L, D), NaN where unknown.
        bins: of equal numbers of landmarks.

    Raises:
        ValueError: fewer landmarks than bins are known.
    """
    there = truth.isfinite().all(dim=-1)
    expected = (sigma[there] ** 2).mean(dim=-1).double().numpy(force=True)
    happened = ((points - truth)[there] ** 2).mean(dim=-1).double().numpy(force=True)
    if len(expected) < bins:
        raise ValueError(f"expected at least {bins} known landmarks to calibrate with, got {len(expected)}")
    order = np.argsort(expected, kind="stable")
    parts = np.array_split(order, bins)
    return Calibration(
        tuple(float(np.sqrt(expected[part].mean())) for part in parts),
        tuple(float(np.sqrt(happened[part].mean())) for part in parts),
        _spearman(torch.as_tensor(expected), torch.as_tensor(happened)),
    )


def _spearman(one: Tensor, other: Tensor) -> float:
    ranks = torch.stack([one.argsort().argsort(), other.argsort().argsort()]).double()
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(torch.corrcoef(ranks)[0, 1])
