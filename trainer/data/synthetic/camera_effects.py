"""From light to the picture a camera stores: optics, sensor, tone curve, compression."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

_KNEE = 0.6


def develop(linear: Tensor, size: int, degrade: bool, generator: Generator) -> Tensor:
    """Pictures (B, 3, size, size) in 0..1, sRGB, of linear light (B, 3, H, W).

    Args:
        linear: a white surface in light of 1 is 1; brighter is compressed.
        size: pixels per side.
        degrade: add what cameras add.
        generator: on the CPU.
    """
    small = interpolate(linear, (size, size), mode="bilinear", antialias=True, align_corners=False)
    if degrade:
        sigma = 0.002 + 0.012 * torch.rand(len(linear), 1, 1, 1, generator=generator) ** 2
        noise = torch.randn(small.shape, generator=generator) * sigma
        return (encode(small) + noise.to(small.device)).clamp(0.0, 1.0)
    return encode(small)


def encode(linear: Tensor) -> Tensor:
    """sRGB 0..1 of linear light, highlights rolled off."""
    rolled = torch.where(
        linear < _KNEE, linear, _KNEE + (1.0 - _KNEE) * (1.0 - torch.exp((_KNEE - linear) / (1.0 - _KNEE)))
    )
    rolled = rolled.clamp_min(0.0)
    return torch.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
