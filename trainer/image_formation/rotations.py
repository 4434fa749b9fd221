"""Rotations in torch, with gradients that hold at zero."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALL = 1e-8


def matrix_from_rotvec(rotvec: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3), radians (Rodrigues' formula).

    Near zero the factors are their series, so that values and gradients are finite.
    """
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*rotvec.shape[:-1], 3, 3)
    squared = (rotvec * rotvec).sum(-1)
    small = squared < _SMALL
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1.0 - squared / 6.0, torch.sin(angle) / angle)[..., None, None]
    cosine = torch.where(small, 0.5 - squared / 24.0, (1.0 - torch.cos(angle)) / safe)[..., None, None]
    eye = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return eye + sine * cross + cosine * (cross @ cross)
