"""The z-buffer on a CPU, compiled by numba: one pass over the triangles of each picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor


@cache
def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def nearest_triangles_numba(
    points: Tensor, depth: Tensor, faces: Tensor, height: int, width: int, cull_back: bool, near: float
) -> tuple[Tensor, Tensor]:
    """The same as ``fragments.nearest_triangles``, on a CPU, and perspective-correct barycentric coordinates (B, H, W, 3)."""
    triangle = np.full((len(points), height, width), -1, np.int32)
    barycentric = np.empty((len(points), height, width, 3), np.float32)
    nearest = np.zeros((height, width), np.float32)
    _kernel()(
        points.contiguous().numpy(),
        depth.contiguous().numpy(),
        faces.numpy(),
        cull_back,
        np.float32(near),
        triangle,
        nearest,
        barycentric,
    )
    return torch.from_numpy(triangle), torch.from_numpy(barycentric)


@cache
def _kernel() -> Callable[..., None]:
    import numba

    compiled: Callable[..., None] = numba.njit(_draw, cache=True, nogil=True, fastmath=True)
    return compiled


def _draw(
    points: Any, depth: Any, faces: Any, cull_back: bool, near: Any, triangle: Any, nearest: Any, barycentric: Any
) -> None:
    batch, height, width = triangle.shape
    half = np.float32(0.5)
    for b in range(batch):
        nearest[:] = np.float32(0.0)
        for f in range(faces.shape[0]):
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            x0, y0, x1, y1 = points[b, i, 0], points[b, i, 1], points[b, j, 0], points[b, j, 1]
            x2, y2 = points[b, k, 0], points[b, k, 1]
            area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
            if area == 0 or (cull_back and area > 0):
                continue
            if depth[b, i] <= near or depth[b, j] <= near or depth[b, k] <= near:
                continue
            left = max(0, int(np.ceil(min(x0, x1, x2) - half)))
            right = min(width - 1, int(np.floor(max(x0, x1, x2) - half)))
            top = max(0, int(np.ceil(min(y0, y1, y2) - half)))
            bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - half)))
            if left > right or top > bottom:
                continue
            scale = np.float32(1.0) / area
            u_x, v_x = (y1 - y2) * scale, (y2 - y0) * scale
            u_y, v_y = (x2 - x1) * scale, (x0 - x2) * scale
            z0, z1 = np.float32(1.0) / depth[b, i], np.float32(1.0) / depth[b, j]
            z2 = np.float32(1.0) / depth[b, k]
            for row in range(top, bottom + 1):
                dy, dx = row + half - y2, left + half - x2
                u = u_x * dx + u_y * dy
                v = v_x * dx + v_y * dy
                for column in range(left, right + 1):
                    w = np.float32(1.0) - u - v
                    if u >= 0 and v >= 0 and w >= 0:
                        inverse = u * z0 + v * z1 + w * z2
                        if inverse > nearest[row, column]:
                            nearest[row, column] = inverse
                            triangle[b, row, column] = f
                            space = np.float32(1.0) / inverse
                            barycentric[b, row, column, 0] = u * z0 * space
                            barycentric[b, row, column, 1] = v * z1 * space
                            barycentric[b, row, column, 2] = w * z2 * space
                    u += u_x
                    v += v_x
