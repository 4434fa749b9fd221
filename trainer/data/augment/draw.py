"""Random numbers from one generator on the CPU, so that every device augments alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def chosen(count: int, chance: float, generator: torch.Generator) -> Tensor:
    """(count,) bool, True with probability ``chance``."""
    return torch.rand(count, generator=generator) < chance


def between(low: float, high: float, *shape: int, generator: torch.Generator) -> Tensor:
    """Evenly between ``low`` and ``high``."""
    return low + (high - low) * torch.rand(*shape, generator=generator)


def between_factors(span: tuple[float, float], *shape: int, generator: torch.Generator) -> Tensor:
    """Evenly in the logarithm."""
    return between(math.log(span[0]), math.log(span[1]), *shape, generator=generator).exp()
