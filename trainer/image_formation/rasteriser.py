"""Which triangle each pixel of a batch of pictures sees, and attributes interpolated there.

The z-buffer itself has no gradients: it finds triangle numbers, in numba on a CPU and in torch on a GPU (and on a CPU without
numba). What the pixels show of their triangles follows from the vertices by differentiable formulas: perspective-correct
barycentric coordinates, depth, attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from trainer.image_formation.fragments import nearest_triangles
from trainer.image_formation.fragments_numba import available, nearest_triangles_numba

_NEAR_M: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Raster:
    """What covered pixels see of a batch of meshes with the same triangles; one entry per covered pixel, in order."""

    triangle: Tensor
    """(B, H, W) int32 index of the visible triangle, -1 where none is."""
    image: Tensor
    """(N,) which picture of the batch."""
    pixel: Tensor
    """(N,) row * W + column."""
    corners: Tensor
    """(N, 3) vertices of the visible triangle."""
    barycentric: Tensor
    """(N, 3) perspective-correct, differentiable in points and depths."""

    @property
    def covered(self) -> Tensor:
        """(B, H, W) bool."""
        return self.triangle >= 0

    def interpolate(self, values: Tensor) -> Tensor:
        """Vertex values (B, V, C), or (V, C) when all meshes share them, at the covered pixels, (N, C)."""
        if values.ndim == 2:
            rows = values[self.corners]
        else:
            rows = values.flatten(0, 1)[self.corners + (self.image * values.shape[1])[:, None]]
        return torch.einsum("nk,nkc->nc", self.barycentric.to(values.dtype), rows)

    def rows(self, chosen: Tensor, offset: int = 0) -> Raster:
        """The raster of some of the covered pixels, ``chosen`` (N,) bool or indices; ``offset`` is taken off vertex numbers."""
        return Raster(
            self.triangle,
            self.image[chosen],
            self.pixel[chosen],
            self.corners[chosen] - offset,
            self.barycentric[chosen],
        )

    def spread(self, values: Tensor, background: float = 0.0) -> Tensor:
        """Values (N, C) of the covered pixels as pictures (B, H, W, C) over a constant."""
        batch, height, width = self.triangle.shape
        out = values.new_full((batch * height * width, values.shape[1]), background)
        out = out.index_copy(0, self.image * (height * width) + self.pixel, values)
        return out.view(batch, height, width, -1)


def rasterise(
    points: Tensor, depth: Tensor, faces: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Raster:
    """Rasterise projected meshes.

    Args:
        points: (B, V, 2) continuous pixels.
        depth: (B, V) metres along the optical axis. Triangles with a corner nearer than 1 mm are left out.
        faces: (F, 3) int64, counter-clockwise from outside (clockwise on the screen, whose y points down, is the back).
        height: rows of the pictures.
        width: columns of the pictures.
        cull_back: leave out triangles seen from behind.
    """
    arguments = (points.detach().float(), depth.detach().float(), faces, height, width, cull_back, _NEAR_M)
    known: Tensor | None = None
    if points.device.type == "cpu" and available():
        triangle, known = nearest_triangles_numba(*arguments)
    else:
        triangle = nearest_triangles(*arguments)
    flat = triangle.flatten()
    seen = torch.nonzero(flat >= 0)[:, 0]
    image = torch.div(seen, height * width, rounding_mode="floor")
    pixel = seen - image * (height * width)
    corners = faces[flat[seen].long()]
    if known is not None and points.dtype == torch.float32 and not (points.requires_grad or depth.requires_grad):
        return Raster(triangle, image, pixel, corners, known.flatten(0, 2)[seen])
    rows = corners + (image * points.shape[1])[:, None]
    return Raster(triangle, image, pixel, corners, _barycentric(points, depth, rows, pixel, width))


def _barycentric(points: Tensor, depth: Tensor, rows: Tensor, pixel: Tensor, width: int) -> Tensor:
    corner = points.flatten(0, 1)[rows]
    row = torch.div(pixel, width, rounding_mode="floor")
    centre = torch.stack([pixel - row * width, row], 1).to(points.dtype) + 0.5
    a, b, c = (corner - centre[:, None]).unbind(1)
    areas = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1)
    # Weights on the screen over depth are linear in space; what an edge pixel gains by rounding is cut off.
    over = areas / depth.flatten()[rows]
    total = over.sum(1, keepdim=True)
    return over / torch.where(total == 0.0, torch.ones_like(total), total)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
