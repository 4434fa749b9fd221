"""Normals and light on meshes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


class NormalField:
    """Vertex normals of one mesh topology, evaluated for many shapes of it."""

    def __init__(self, faces: Int32, vertex_count: int) -> None:
        self._faces = faces
        self._corner = faces.ravel().astype(np.intp)
        self._count = vertex_count

    def __call__(self, vertices: Float32) -> Float32:
        """Area-weighted unit normals (V, 3) of vertices (V, 3), pointing out of counter-clockwise triangles."""
        a, b, c = (vertices[self._faces[:, i]] for i in range(3))
        face_normals = np.repeat(_cross(b - a, c - a), 3, axis=0)
        normals = np.stack([np.bincount(self._corner, face_normals[:, i], self._count) for i in range(3)], axis=1)
        length = np.sqrt(np.einsum("vi,vi->v", normals, normals))
        unit: Float32 = (normals / np.maximum(length, 1e-20)[:, None]).astype(np.float32)
        return unit


def _cross(a: Float32, b: Float32) -> Float32:
    # Written out: numpy's own cross takes several times as long on many short rows.
    out = np.empty_like(a)
    out[:, 0] = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    out[:, 1] = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    out[:, 2] = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return out


def quad_diagonals(vertices: Float32, faces: Int32) -> NDArray[np.bool_]:
    """Which triangle edges are the diagonals of quads, (F, 3): edge i lies opposite corner i.

    Meshes are modelled in quads and split for rendering; a wire without the diagonals shows the flow of the model. Where
    most triangles come in consecutive pairs that share an edge, those edges are the diagonals; otherwise an edge counts
    as one when it is the longest of both triangles that share it.
    """
    ends = np.sort(np.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], axis=1), axis=2).astype(np.int64)
    edge = ends[:, :, 0] * len(vertices) + ends[:, :, 1]
    if len(faces) % 2 == 0:
        first, second = edge[0::2], edge[1::2]
        same = first[:, :, None] == second[:, None, :]
        if same.any(axis=(1, 2)).mean() > 0.9:
            paired = np.empty(edge.shape, np.bool_)
            paired[0::2], paired[1::2] = same.any(axis=2), same.any(axis=1)
            return paired
    length = np.linalg.norm(vertices[ends[:, :, 0]] - vertices[ends[:, :, 1]], axis=2)
    longest = length >= length.max(axis=1, keepdims=True) * (1.0 - 1e-6)
    _, inverse = np.unique(edge.ravel(), return_inverse=True)
    votes = np.bincount(inverse, longest.ravel())
    shared = np.bincount(inverse)
    diagonal: NDArray[np.bool_] = ((votes == 2) & (shared == 2))[inverse].reshape(longest.shape)
    return diagonal


def smoothstep(low: float, high: float, x: Float32) -> Float32:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    result: Float32 = (t * t * (3.0 - 2.0 * t)).astype(np.float32)
    return result
