"""The moving average of a network's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of ``module`` that follows it: weights and buffers, exponentially.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the random start is forgotten in short runs too.
    """

    def follow(averages: Any, values: Any, updates: Tensor | int) -> None:
        kept = min(decay, (1.0 + float(updates)) / (10.0 + float(updates)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, 1.0 - kept)
        else:  # counters
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    average = AveragedModel(module, multi_avg_fn=follow, use_buffers=True)
    average.requires_grad_(False)
    return average
