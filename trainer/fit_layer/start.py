"""A first pose from landmarks without depth, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SCALE = 1e-6


def start_pose(landmarks: Tensor, weight: Tensor, camera: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (B, 3, 3) and translation (B, 3) of heads whose points look like landmarks: weak perspective.

    The affine map from points to landmarks is solved by weighted least squares; its rows, made orthonormal, are the
    rotation's, their length is the scale.

    Args:
        landmarks: (B, L, 2).
        weight: (B, L) not negative.
        camera: (B, 3) focal length and principal point, in the landmarks' unit.
        head: (B, L, 3) metres, head axes.
    """
    share = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-12)
    middle = torch.einsum("bl,blx->bx", share, head)
    place = torch.einsum("bl,blx->bx", share, landmarks)
    arms, seen = head - middle[:, None], landmarks - place[:, None]
    normal = torch.einsum("bl,blx,bly->bxy", share, arms, arms)
    # A flat set of points leaves the third column free: a little of nothing decides it.
    normal = normal + 1e-6 * normal.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * torch.eye(3).to(normal)
    right = torch.einsum("bl,blx,bly->bxy", share, arms, seen)
    rows = torch.linalg.solve(normal, right).transpose(1, 2)
    u, singular, vt = torch.linalg.svd(rows, full_matrices=False)
    first = u @ vt
    scale = singular.mean(dim=1).clamp(min=_LEAST_SCALE)
    rotation = torch.cat([first, torch.linalg.cross(first[:, :1], first[:, 1:])], 1)
    depth = camera[:, 0] / scale
    centre = place - torch.einsum("bxy,by->bx", rotation[:, :2], middle) * scale[:, None]
    offset = (centre - camera[:, 1:]) / scale[:, None]
    back = torch.einsum("by,by->b", rotation[:, 2], middle)
    return rotation, torch.cat([offset, (depth - back)[:, None]], 1)
