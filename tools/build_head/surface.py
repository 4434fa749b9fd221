"""Closest points on a triangle mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def closest_barycentric(point: Array, triangles: Array) -> tuple[Array, Array]:
    """Barycentric coordinates (n, 3) of each triangle's (n, 3, 3) point nearest to ``point`` (3,), squared distances (n,).

    Inside the triangle by its plane, else on the nearest of its edges.
    """
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    denominator = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / denominator, (d00 * d21 - d01 * d20) / denominator
    candidates = [np.stack([1 - v - w, v, w], axis=1)]
    for first, second in ((0, 1), (1, 2), (2, 0)):
        edge = triangles[:, second] - triangles[:, first]
        along = ((point - triangles[:, first]) * edge).sum(1) / np.maximum((edge * edge).sum(1), 1e-30)
        share = np.zeros((len(triangles), 3))
        share[:, second] = np.clip(along, 0, 1)
        share[:, first] = 1 - share[:, second]
        candidates.append(share)
    shares = np.stack(candidates)
    distance = ((np.einsum("knc,nci->kni", shares, triangles) - point) ** 2).sum(2)
    distance[0, (shares[0] < 0).any(axis=1)] = np.inf
    best = distance.argmin(0)
    rows = np.arange(len(triangles))
    return shares[best, rows], distance[best, rows]


def closest_on_mesh(
    points: Array, vertices: Array, faces: NDArray[np.int32], allowed: NDArray[np.bool_], normals: Array | None = None
) -> tuple[NDArray[np.int32], Array]:
    """Nearest point of the allowed triangles to each of ``points`` (n, 3).

    Args:
        allowed: (F,) triangles that may be hit.
        normals: (n, 3) surface direction at each point; triangles that face another way are passed over.

    Returns:
        triangle (n,) and barycentric (n, 3).
    """
    chosen = np.flatnonzero(allowed)
    triangles = vertices[faces[chosen]]
    middles = triangles.mean(1)
    facing = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-15)
    found = np.zeros(len(points), np.int32)
    barycentric = np.zeros((len(points), 3))
    for i, point in enumerate(points):
        near = np.argpartition(((middles - point) ** 2).sum(1), 300)[:300]
        share, distance = closest_barycentric(point, triangles[near])
        if normals is not None:
            distance = np.where(facing[near] @ normals[i] < 0.3, distance + 1.0, distance)
        best = int(distance.argmin())
        found[i], barycentric[i] = chosen[near[best]], share[best]
    return found, barycentric


def vertex_normals(vertices: Array, faces: NDArray[np.integer]) -> Array:
    """(V, 3) area-weighted unit normals."""
    cross = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], cross)
    result: Array = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    return result
