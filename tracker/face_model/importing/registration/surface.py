"""A triangle surface that can be asked for its nearest point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.optional import require
from tracker.face_model.normals import vertex_normals

Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

PURPOSE: Final = "registering face models"
_NEIGHBOURS: Final = 16
_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class SurfacePoints:
    """Points on a triangle mesh."""

    faces: Int
    """(n,) triangle of each point."""
    barycentric: Float64
    """(n, 3) weights of its corners, each 0..1, rows sum to 1."""
    position: Float64
    """(n, 3)."""
    distance: Float64
    """(n,) from the point that asked."""
    cosine: Float64
    """(n,) between the surface's normal here and the normal of the point that asked; 1 when it brought none."""


class Surface:
    """Triangles of a mesh for nearest-point questions.

    Args:
        vertices: (V, 3) of the whole mesh.
        faces: (F, 3) of the whole mesh, counter-clockwise from outside.
        chosen: (n,) the triangles that belong to the surface; all by default. Triangle numbers in answers count in ``faces``.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer], chosen: Int | None = None) -> None:
        self.vertices = np.asarray(vertices, np.float64)
        self.faces = np.asarray(faces, np.intp)
        wanted = np.arange(len(self.faces)) if chosen is None else np.asarray(chosen, np.intp)
        # Triangles without an area have no inside and no normal.
        area = np.linalg.norm(_cross(self.vertices, self.faces[wanted]), axis=1)
        self.chosen = wanted[area > 1e-12 * max(area.max(initial=0.0), 1e-300)]

    @cached_property
    def corners(self) -> Float64:
        """(n, 3, 3) corners of the chosen triangles."""
        return np.asarray(self.vertices[self.faces[self.chosen]], np.float64)

    @cached_property
    def normals(self) -> Float64:
        """(V, 3) unit vertex normals of the chosen triangles; zero where none meet."""
        return vertex_normals(self.vertices, self.faces[self.chosen])

    @cached_property
    def boundary(self) -> NDArray[np.bool_]:
        """(V,) vertices on an edge that only one chosen triangle has."""
        marked = np.zeros(len(self.vertices), np.bool_)
        edges, _, count = edges_of(self.faces[self.chosen])
        marked[edges[count == 1]] = True
        return marked

    def nearest(
        self, points: NDArray[np.floating], normals: Float64 | None = None, min_cosine: float = 0.0
    ) -> SurfacePoints:
        """The nearest point of the surface to each of ``points`` (n, 3).

        Args:
            points: (n, 3).
            normals: (n, 3) unit; triangles that face another way are passed over as long as others are near.
            min_cosine: which cosine of the normals tells another way.
        """
        asked = np.asarray(points, np.float64)
        corners = self.corners
        count = min(_NEIGHBOURS, len(corners))
        middles = corners.mean(axis=1)
        # Large triangles reach far from their middle: their corners stand in for them as well.
        anchors = np.concatenate([middles, *(0.5 * (middles + corners[:, k]) for k in range(3))])
        _, found = require("scipy.spatial", PURPOSE).cKDTree(anchors).query(asked, count)
        candidates = np.asarray(found, np.intp).reshape(len(asked), count) % len(corners)
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        facing /= np.linalg.norm(facing, axis=1, keepdims=True)
        share = np.empty((len(asked), 3))
        distance, cosine = np.empty(len(asked)), np.ones(len(asked))
        face = np.empty(len(asked), np.intp)
        for start in range(0, len(asked), _CHUNK):
            part = slice(start, start + _CHUNK)
            near = candidates[part]
            shares, squared = _closest(asked[part, None], corners[near])
            cost = squared
            if normals is not None:
                cosines = np.einsum("nki,ni->nk", facing[near], normals[part])
                cost = squared + np.where(cosines < min_cosine, 1e6, 0.0)
            best = cost.argmin(axis=1)
            rows = np.arange(len(near))
            share[part], distance[part], face[part] = shares[rows, best], squared[rows, best], near[rows, best]
            if normals is not None:
                cosine[part] = cosines[rows, best]
        position = np.einsum("nk,nki->ni", share, corners[face])
        return SurfacePoints(self.chosen[face], share, position, np.sqrt(distance), cosine)


def edges_of(faces: Int) -> tuple[Int, Int, Int]:
    """Edges (E, 2) with the smaller vertex first, the edge of each triangle side (F * 3,), and triangles per edge (E,)."""
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, inverse, count = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    return edges, inverse.reshape(-1), count


def components(faces: Int, vertex_count: int) -> Int:
    """(V,) number of the connected part each vertex belongs to, the part with most vertices first."""
    label = np.arange(vertex_count)
    edges, _, _ = edges_of(faces)
    while True:
        # Every vertex takes the smallest label around it, then labels are followed to their roots.
        lower = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        new = label.copy()
        np.minimum.at(new, label[edges[:, 0]], lower)
        np.minimum.at(new, label[edges[:, 1]], lower)
        while not np.array_equal(new[new], new):
            new = new[new]
        if np.array_equal(new, label):
            break
        label = new
    _, inverse, count = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(count), np.intp)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
    result: Int = rank[inverse.reshape(-1)]
    return result


def _cross(vertices: Float64, faces: Int) -> Float64:
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    result: Float64 = np.cross(b - a, c - a)
    return result


def _closest(points: Float64, triangles: Float64) -> tuple[Float64, Float64]:
    """Barycentric coordinates (n, k, 3) of the nearest point of triangles (n, k, 3, 3) to points (n, 1, 3), squared
    distances (n, k): by the plane where that falls inside, else on the nearest edge.
    """
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d20, d21 = _dot(ap, ab), _dot(ap, ac)
    denominator = np.maximum(d00 * d11 - d01 * d01, 1e-300)
    v, w = (d11 * d20 - d01 * d21) / denominator, (d00 * d21 - d01 * d20) / denominator
    best = np.stack([1 - v - w, v, w], axis=-1)
    squared = np.where((best < 0).any(axis=-1), np.inf, _distance2(points, triangles, best))
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, edge = triangles[..., first, :], triangles[..., second, :] - triangles[..., first, :]
        along = np.clip(_dot(points - start, edge) / np.maximum(_dot(edge, edge), 1e-300), 0, 1)
        share = np.zeros_like(best)
        share[..., first], share[..., second] = 1 - along, along
        distance2 = _distance2(points, triangles, share)
        nearer = distance2 < squared
        best = np.where(nearer[..., None], share, best)
        squared = np.where(nearer, distance2, squared)
    return best, squared


def _dot(a: Float64, b: Float64) -> Float64:
    result: Float64 = np.einsum("...i,...i->...", a, b)
    return result


def _distance2(points: Float64, triangles: Float64, share: Float64) -> Float64:
    offset = np.einsum("...k,...ki->...i", share, triangles) - points
    return _dot(offset, offset)
