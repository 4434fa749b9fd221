"""Vertex normals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class NormalField(nn.Module):
    """Area-weighted vertex normals of one mesh topology.

    Args:
        faces: (F, 3) triangles, counter-clockwise from outside.
        vertex_count: V.
    """

    faces: Tensor
    around: Tensor

    def __init__(self, faces: NDArray[np.integer], vertex_count: int) -> None:
        super().__init__()
        corner = faces.ravel()
        order = np.argsort(corner, kind="stable")
        degree = np.bincount(corner, minlength=vertex_count)
        start = np.concatenate([[0], np.cumsum(degree)[:-1]])
        # A table of each vertex's triangles makes the sum a gather, which is deterministic on GPUs; F is the triangle of no area.
        column = np.arange(int(degree.max(initial=1)))
        entry = np.minimum(start[:, None] + column, len(order) - 1)
        table = np.where(column < degree[:, None], order[entry] // 3, len(faces))
        self.register_buffer("faces", torch.tensor(faces, dtype=torch.int64), persistent=False)
        self.register_buffer("around", torch.tensor(table, dtype=torch.int64), persistent=False)

    def forward(self, vertices: Tensor) -> Tensor:
        """Unit normals (B, V, 3) of vertices (B, V, 3); zero where a vertex has no triangle."""
        a, b, c = (vertices[:, self.faces[:, k]] for k in range(3))
        normal = torch.linalg.cross(b - a, c - a)
        normal = torch.cat([normal, torch.zeros_like(normal[:, :1])], 1)
        total = torch.zeros_like(vertices)
        for column in self.around.unbind(1):
            total = total + normal[:, column]
        length = (total * total).sum(-1, keepdim=True)
        return total * torch.rsqrt(length.clamp_min(1e-24))
