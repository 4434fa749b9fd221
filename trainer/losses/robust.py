"""Losses that grow as the error, not as its square, beyond a scale, and means with weights."""

from __future__ import annotations

import torch
from torch import Tensor


def robust(error: Tensor, scale: float) -> Tensor:
    """Charbonnier's loss of each error: a square below ``scale``, then straight; 0.41 at ``scale``."""
    return torch.sqrt(1.0 + (error / scale) ** 2) - 1.0


def mean_of(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean, 0 where all weights are 0. Both (...) of one shape; weights at least 0."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
