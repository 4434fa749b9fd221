"""RealNVP: an invertible network whose density is known exactly (Dinh 2017; Simic 2022, eq. 3.15 to 3.17)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn


class RealNvp(nn.Module):
    """A density over points of the plane, or of space, that starts out as the standard Gaussian.

    Affine coupling layers; each keeps the entries that the one before changed. Scales go through tanh, so that one layer
    stretches by at most e.

    Args:
        dimensions: of the points, at least 2.
        layers: of coupling.
        hidden: units of the networks s and t.
    """

    def __init__(self, dimensions: int = 2, layers: int = 6, hidden: int = 64) -> None:
        super().__init__()
        self.dimensions = dimensions
        masks = torch.arange(dimensions)[None] % 2 == torch.arange(layers)[:, None] % 2
        self.register_buffer("masks", masks.float(), persistent=False)
        self.scales = nn.ModuleList(_network(dimensions, hidden) for _ in range(layers))
        self.shifts = nn.ModuleList(_network(dimensions, hidden) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        """x = f(z): from the Gaussian's space to the points', (..., D) to (..., D)."""
        x = z
        for i, mask in enumerate(cast(Tensor, self.masks)):
            scale, shift = self._coupling(i, x * mask, mask)
            x = x * scale.exp() + shift
        return x

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z = f^-1(x) and log |det dz/dx|: (..., D) to (..., D) and (...)."""
        z = x
        log_det = x.new_zeros(x.shape[:-1])
        masks = cast(Tensor, self.masks)
        for i in reversed(range(len(masks))):
            scale, shift = self._coupling(i, z * masks[i], masks[i])
            z = (z - shift) * (-scale).exp()
            log_det = log_det - scale.sum(dim=-1)
        return z, log_det

    def log_density(self, x: Tensor) -> Tensor:
        """log P(x) by (3.15): (..., D) to (...)."""
        z, log_det = self.inverse(x)
        return log_det - 0.5 * (z**2).sum(dim=-1) - 0.5 * self.dimensions * math.log(2 * math.pi)

    def _coupling(self, layer: int, kept: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.tanh(self.scales[layer](kept)) * (1 - mask)
        return scale, self.shifts[layer](kept) * (1 - mask)


def _network(dimensions: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, dimensions)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dimensions, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(), last)
