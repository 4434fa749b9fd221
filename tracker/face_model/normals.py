"""Normals of meshes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", np.float32, np.float64)


def vertex_normals(vertices: NDArray[Scalar], faces: NDArray[np.integer[Any]]) -> NDArray[Scalar]:
    """Unit normals (V, 3) of vertices (V, 3) and triangles (F, 3), area weighted; zero for vertices without triangles."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    out = np.zeros(vertices.shape, np.float64)
    for corner in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(faces[:, corner], across[:, axis], len(vertices))
    length = np.linalg.norm(out, axis=1, keepdims=True)
    unit: NDArray[Scalar] = (out / np.maximum(length, np.finfo(np.float64).tiny)).astype(vertices.dtype)
    return unit
