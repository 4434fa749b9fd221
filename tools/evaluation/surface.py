"""Distances of points to triangle meshes, as scans are compared with fitted faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Float64 = NDArray[np.float64]

_NEAR_VERTICES = 4
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Foot:
    """The nearest place of a mesh to each of N points."""

    face: NDArray[np.intp]
    """(N,) triangle."""
    barycentric: Float64
    """(N, 3)."""
    point: Float64
    """(N, 3)."""
    distance: Float64
    """(N,) in the unit of the points."""


class Surface:
    """A triangle mesh that answers where it is nearest.

    Args:
        vertices: (V, 3).
        faces: (F, 3) triangles; vertices that none of them uses do not count.
    """

    def __init__(self, vertices: Floats, faces: NDArray[np.integer]) -> None:
        self.vertices = np.asarray(vertices, np.float64)
        self.faces = np.asarray(faces, np.intp)
        self._used = np.unique(self.faces)
        # Triangles around each vertex, padded with the vertex's first one.
        order = np.argsort(self.faces.ravel(), kind="stable")
        owner = self.faces.ravel()[order]
        first = np.searchsorted(owner, self._used)
        degree = np.bincount(owner, minlength=len(self.vertices))[self._used]
        step = np.arange(int(degree.max()))
        self._around = order[first[:, None] + np.where(step < degree[:, None], step, 0)] // 3

    def foot(self, points: Floats) -> Foot:
        """The nearest places to points (N, 3): exact among the triangles around the four nearest vertices."""
        points = np.asarray(points, np.float64)
        parts = [self._feet(points[start : start + _CHUNK]) for start in range(0, len(points), _CHUNK)]
        face, barycentric = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        place = np.einsum("nc,ncd->nd", barycentric, self.vertices[self.faces[face]])
        return Foot(face, barycentric, place, np.linalg.norm(points - place, axis=1))

    def _feet(self, points: Float64) -> tuple[NDArray[np.intp], Float64]:
        cloud = self.vertices[self._used]
        squared = (cloud**2).sum(axis=1) - 2.0 * points @ cloud.T
        count = min(_NEAR_VERTICES, len(cloud))
        near = np.argpartition(squared, count - 1, axis=1)[:, :count]
        candidates = self._around[near].reshape(len(points), -1)
        weights = closest_barycentric(points[:, None], self.vertices[self.faces[candidates]])
        places = np.einsum("nkc,nkcd->nkd", weights, self.vertices[self.faces[candidates]])
        best = ((places - points[:, None]) ** 2).sum(axis=2).argmin(axis=1)
        rows = np.arange(len(points))
        return candidates[rows, best], weights[rows, best]


def closest_barycentric(points: Floats, triangles: Floats) -> Float64:
    """Barycentric weights (..., 3) of the place of each triangle (..., 3, 3) that is nearest to its point (..., 3).

    By the regions of the triangle's plane in which the nearest place is the interior, an edge or a corner (Ericson 2005,
    "Real-Time Collision Detection", section 5.1.5).
    """
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    edges = ((a, b, (0, 1)), (b, c, (1, 2)), (c, a, (2, 0)))
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-300)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    weights = np.stack([1.0 - v - w, v, w], axis=-1)
    outside = (weights < 0.0).any(axis=-1)
    best = np.full(outside.shape, np.inf)
    for start, end, (i, j) in edges:
        along = end - start
        t = np.clip(((points - start) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-300), 0.0, 1.0)
        off = ((points - start - t[..., None] * along) ** 2).sum(-1)
        nearer = outside & (off < best)
        best = np.where(nearer, off, best)
        on_edge = np.zeros_like(weights)
        on_edge[..., i], on_edge[..., j] = 1.0 - t, t
        weights = np.where(nearer[..., None], on_edge, weights)
    return weights
