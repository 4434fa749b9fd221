"""Leaving out what is not known."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Known(NamedTuple):
    """Truth in which nothing is NaN, and how much each row of it counts."""

    truth: Tensor
    """(B, L, D); the prediction itself, without gradient, where nothing is known."""
    weight: Tensor
    """(B, L), 0 where nothing is known."""


def known(points: Tensor, truth: Tensor, weight: Tensor) -> Known:
    """Put the prediction in place of unknown truth and take its weight away, so that no NaN reaches a gradient.

    Args:
        points: (B, L, D) predicted.
        truth: (B, L, D), NaN where unknown.
        weight: (B, L) in 0..1.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if points.shape != truth.shape or weight.shape != truth.shape[:2]:
        raise ValueError(
            f"expected points and truth (B, L, D) and weight (B, L), got {tuple(points.shape)}, {tuple(truth.shape)} and "
            f"{tuple(weight.shape)}"
        )
    there = truth.isfinite().all(dim=-1)
    return Known(
        torch.where(there[..., None], truth, points.detach()),
        torch.where(there, weight, torch.zeros_like(weight)).nan_to_num(0.0),
    )


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (B, L) values by (B, L) weights; zero, with gradients of zero, where all weights are."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
