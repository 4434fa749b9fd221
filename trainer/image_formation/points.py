"""Pictures seen at points: sampling, visibility, and per-vertex rendering (point-based, as CEST and Tewari 2018 train with)."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_image(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples (B, N, C) of pictures (B, C, H, W) at points (B, N, 2) in continuous pixels; edge pixels continue.

    Differentiable in the picture and in the points.
    """
    height, width = image.shape[-2:]
    size = torch.tensor([width, height], dtype=points.dtype, device=points.device)
    grid = points / size * 2.0 - 1.0
    seen = torch.nn.functional.grid_sample(
        image, grid[:, None].to(image.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
    return seen[:, :, 0].transpose(1, 2)


def visible_points(depth: Tensor, points: Tensor, distance: Tensor, slack: float) -> Tensor:
    """Which points are not behind what a z-buffer shows, (B, N) bool; False outside the picture.

    Args:
        depth: (B, H, W) metres, infinite where nothing is.
        points: (B, N, 2) continuous pixels.
        distance: (B, N) depth of the points, metres.
        slack: by how much a point may lie behind its pixel's surface, metres. The deepest of the four pixels around the
            point counts, since a pixel at an outline may show what is in front beside it.
    """
    height, width = depth.shape[-2:]
    x, y = points.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = torch.floor(x - 0.5), torch.floor(y - 0.5)
    flat = depth.flatten(1)
    deepest = torch.zeros_like(distance)
    for dx in (0, 1):
        for dy in (0, 1):
            column = (left + dx).clamp(0, width - 1).nan_to_num(0.0).long()
            row = (top + dy).clamp(0, height - 1).nan_to_num(0.0).long()
            deepest = torch.maximum(deepest, flat.gather(1, row * width + column).to(distance.dtype))
    return inside & (distance <= deepest + slack)
