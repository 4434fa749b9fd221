"""Normals of meshes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32

Int32 = NDArray[np.int32]


def vertex_normals(vertices: Float32, faces: Int32) -> Float32:
    """Unit normals (V, 3), area weighted."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    out = np.zeros(vertices.shape, np.float64)
    for corner in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(faces[:, corner], across[:, axis], len(vertices))
    normals: Float32 = (out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return normals
