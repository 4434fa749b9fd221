"""Labels in the camera's axes when the camera turns."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

_C0 = math.sqrt(1.0 / (4.0 * math.pi))
_C1 = math.sqrt(3.0 / (4.0 * math.pi))
_C2 = math.sqrt(15.0 / (4.0 * math.pi))
_C20 = math.sqrt(5.0 / (16.0 * math.pi))
_C22 = math.sqrt(15.0 / (16.0 * math.pi))


def turn_light(light: Tensor, turn: Tensor) -> Tensor:
    """Spherical harmonics (B, 9, 3) of a light whose directions n become ``turn @ n``; ``turn`` (B, 3, 3) is orthogonal.

    Harmonics of one order stay among themselves under rotations and reflections, so asking for the same irradiance at
    enough directions determines the new terms exactly. The terms are those of ``tracker.appearance.light``.
    """
    directions, solve = _directions()
    directions, solve = directions.to(light), solve.to(light)
    # E'(n) = E(turn^T n)
    before = torch.einsum("pj,bji->bpi", directions, turn.to(light))
    return torch.einsum("kp,bpj,bjc->bkc", solve, _harmonics(before), light)


def roll_matrix(angle_rad: Tensor) -> Tensor:
    """(B, 3, 3) rotations about the optical axis, x towards y (clockwise as seen) for positive angles (B,)."""
    cos, sin = angle_rad.cos(), angle_rad.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).reshape(-1, 3, 3)


def look_matrix(direction: Tensor) -> Tensor:
    """(B, 3, 3) the smallest rotations that bring directions (B, 3), z > 0, onto the optical axis."""
    x, y, z = (direction / direction.norm(dim=1, keepdim=True)).unbind(1)
    # Rodrigues' formula about v x e_z; 1 + cos never vanishes in front of the camera.
    share = 1.0 / (1.0 + z)
    rows = [1.0 - share * x * x, -share * x * y, -x, -share * x * y, 1.0 - share * y * y, -y, x, y, z]
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def _harmonics(normals: Tensor) -> Tensor:
    """The nine harmonics (..., 9) at unit normals (..., 3)."""
    x, y, z = normals.unbind(-1)
    terms = [
        torch.full_like(x, _C0), _C1 * y, _C1 * z, _C1 * x,
        _C2 * x * y, _C2 * y * z, _C20 * (3.0 * z * z - 1.0), _C2 * x * z, _C22 * (x * x - y * y),
    ]  # fmt: skip
    return torch.stack(terms, -1)


@functools.cache
def _directions() -> tuple[Tensor, Tensor]:
    """Directions (P, 3) spread over the sphere, and the (9, P) pseudo-inverse of their harmonics."""
    count = 32
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1.0 - 2.0 * index / count
    angle = math.pi * (1.0 + math.sqrt(5.0)) * index
    radius = (1.0 - z * z).sqrt()
    directions = torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1)
    return directions, torch.linalg.pinv(_harmonics(directions))
