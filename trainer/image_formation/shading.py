"""Light on skin: nine spherical harmonics per channel, as ``tracker.appearance.light`` has them, and point lights."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

_C0: Final = math.sqrt(1.0 / (4.0 * math.pi))
_C1: Final = math.sqrt(3.0 / (4.0 * math.pi))
_C2: Final = math.sqrt(15.0 / (4.0 * math.pi))
_C20: Final = math.sqrt(5.0 / (16.0 * math.pi))
_C22: Final = math.sqrt(15.0 / (16.0 * math.pi))
RESPONSE: Final = (1.0, *(2.0 / 3.0,) * 3, *(0.25,) * 5)
"""How a matte surface answers to each harmonic, over pi (Ramamoorthi and Hanrahan 2001)."""


def sh_basis(normals: Tensor) -> Tensor:
    """The nine real harmonics (..., 9) at unit vectors (..., 3): 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2."""
    x, y, z = normals.unbind(-1)
    return torch.stack([
        torch.full_like(x, _C0), _C1 * y, _C1 * z, _C1 * x, _C2 * x * y, _C2 * y * z, _C20 * (3.0 * z * z - 1.0),
        _C2 * x * z, _C22 * (x * x - y * y),
    ], -1)  # fmt: skip


def shade(normals: Tensor, light: Tensor, transfer: Tensor | None = None) -> Tensor:
    """Irradiance over pi (B, N, 3) at unit normals (B, N, 3) in camera axes under lights (B, 9, 3).

    ``transfer`` (B, N, 9) is what shadows add to each harmonic (``tracker.appearance.shadows``); with it light is not negative.
    """
    basis = sh_basis(normals)
    if transfer is None:
        return basis @ light
    return ((basis + transfer) @ light).clamp_min(0.0)


def light_of_radiance(directions: Tensor, radiance: Tensor) -> Tensor:
    """The nine terms (B, 9, 3) of the light that arrives from evenly spread unit directions (D, 3) with radiance (B, D, 3)."""
    response = torch.tensor(RESPONSE, dtype=radiance.dtype, device=radiance.device)
    solid_angle = 4.0 * math.pi / len(directions)
    basis = sh_basis(directions) * response * solid_angle
    return torch.einsum("dk,bdc->bkc", basis, radiance)


def point_lights(points: Tensor, normals: Tensor, position: Tensor, colour: Tensor) -> Tensor:
    """Irradiance over pi (B, N, 3) that lamps leave on matte points.

    Args:
        points: (B, N, 3) metres.
        normals: (B, N, 3) unit.
        position: (B, L, 3) of the lamps, metres, in the same axes.
        colour: (B, L, 3) irradiance over pi at one metre's distance on a surface that faces the lamp.
    """
    towards = position[:, None] - points[:, :, None]
    squared = (towards * towards).sum(-1).clamp_min(1e-6)
    cosine = (towards * normals[:, :, None]).sum(-1) * torch.rsqrt(squared)
    return (cosine.clamp_min(0.0) / squared) @ colour
