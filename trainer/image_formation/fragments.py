"""The z-buffer in plain torch: triangles cut into fragments, all of a batch at once. For GPUs; correct on any device."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_MAX_FRAGMENTS: Final = 24_000_000
"""Fragments held at once; larger batches are drawn in parts."""


def nearest_triangles(
    points: Tensor, depth: Tensor, faces: Tensor, height: int, width: int, cull_back: bool, near: float
) -> Tensor:
    """Index (B, H, W) int32 of the triangle that each pixel's centre sees, -1 where none; see ``rasteriser.rasterise``."""
    corners = points[:, faces]
    corner_depth = depth[:, faces]
    x, y = corners.unbind(-1)
    area = (x[..., 1] - x[..., 0]) * (y[..., 2] - y[..., 0]) - (y[..., 1] - y[..., 0]) * (x[..., 2] - x[..., 0])
    left = torch.ceil(x.amin(-1) - 0.5).clamp(0, width).long()
    right = torch.floor(x.amax(-1) - 0.5).clamp(-1, width - 1).long()
    top = torch.ceil(y.amin(-1) - 0.5).clamp(0, height).long()
    bottom = torch.floor(y.amax(-1) - 0.5).clamp(-1, height - 1).long()
    columns, rows = (right - left + 1).clamp_min(0), (bottom - top + 1).clamp_min(0)
    facing = area < 0 if cull_back else area != 0
    size = columns * rows * (facing & (corner_depth > near).all(-1))
    out = []
    # Each part must fit into memory; a picture is never split.
    per_image = size.sum(1).tolist()
    start = 0
    while start < len(points):
        end, total = start, 0
        while end < len(points) and (end == start or total + per_image[end] <= _MAX_FRAGMENTS):
            total += per_image[end]
            end += 1
        part = slice(start, end)
        box = torch.stack([left[part], top[part], columns[part]], -1)
        out.append(_draw(corners[part], corner_depth[part], area[part], box, size[part], height, width))
        start = end
    return torch.cat(out) if out else torch.full((0, height, width), -1, dtype=torch.int32, device=points.device)


def _draw(corners: Tensor, depth: Tensor, area: Tensor, box: Tensor, size: Tensor, height: int, width: int) -> Tensor:
    batch, count = area.shape
    kept = torch.nonzero(size.flatten() > 0)[:, 0]
    amount = size.flatten()[kept]
    owner = torch.repeat_interleave(torch.arange(len(kept), device=kept.device), amount)
    step = torch.arange(len(owner), device=kept.device) - (torch.cumsum(amount, 0) - amount)[owner]
    left, top, columns = box.flatten(0, 1)[kept].unbind(-1)
    row = torch.div(step, columns[owner], rounding_mode="floor")
    column = step - row * columns[owner] + left[owner]
    row = row + top[owner]
    weight, slope = _planes(corners.flatten(0, 1)[kept], depth.flatten(0, 1)[kept], area.flatten()[kept])
    place = torch.stack([column + 0.5, row + 0.5, torch.ones_like(column)], -1).to(corners.dtype)
    inside = torch.ones_like(owner, dtype=torch.bool)
    for k in range(3):
        inside &= (weight[:, k][owner] * place).sum(-1) >= 0.0
    inverse = (slope[owner] * place).sum(-1)[inside]
    owner, row, column = owner[inside], row[inside], column[inside]
    triangle = kept[owner]
    image = torch.div(triangle, count, rounding_mode="floor")
    # One key holds the nearness, whose float bits grow with it, and the triangle, so that one maximum settles both.
    key = (inverse.contiguous().view(torch.int32).long() << 32) | (triangle - image * count)
    buffer = torch.full((batch * height * width,), -1, dtype=torch.int64, device=key.device)
    buffer.scatter_reduce_(0, (image * height + row) * width + column, key, "amax")
    found = torch.where(buffer >= 0, buffer & 0xFFFFFFFF, buffer)
    return found.to(torch.int32).view(batch, height, width)


def _planes(corners: Tensor, depth: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
    """Screen-space planes (T, 3, 3) of the barycentric weights and (T, 3) of 1/z: factors of x, y and 1."""
    planes = []
    for k in range(3):
        b, c = corners[:, (k + 1) % 3], corners[:, (k + 2) % 3]
        planes.append(torch.stack([b[:, 1] - c[:, 1], c[:, 0] - b[:, 0], b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]], -1))
    weight = torch.stack(planes, 1) / area[:, None, None]
    return weight, (weight / depth[..., None]).sum(1)
