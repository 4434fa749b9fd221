"""NGLL, the negative log-likelihood under a Gaussian with predicted sigma (Simic 2022, eq. 3.14; Wood 2022)."""

from __future__ import annotations

from torch import Tensor

from trainer.losses.known import known, weighted_mean


def ngll(points: Tensor, sigma: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """log sigma + (truth - points)^2 / (2 sigma^2), summed over x and y, mean over landmarks (3.14, constant left out).

    Args:
        points: (B, L, D) predicted means.
        sigma: (B, L, D) above 0.
        truth: (B, L, D), NaN where unknown.
        weight: (B, L) in 0..1.

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes do not belong together.
    """
    there = known(points, truth, weight)
    value = sigma.log() + (there.truth - points) ** 2 / (2 * sigma**2)
    return weighted_mean(value.sum(dim=-1), there.weight)
