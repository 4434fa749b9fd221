"""Adding vertices to a mesh without changing its shape: every new vertex is a weighted sum of old ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Int32 = NDArray[np.int32]

_MOST_SOURCES = 4


@dataclass(frozen=True, slots=True)
class Refined:
    """A mesh whose vertices are weighted sums of another's."""

    faces: Int32
    """(F, 3)."""
    sources: Int32
    """(W, 4) old vertices that each is made of."""
    shares: Array
    """(W, 4) their weights, which sum to 1."""

    def apply(self, values: NDArray[np.floating]) -> Array:
        """Carry per-vertex values (V, ...) over to the refined mesh (W, ...)."""
        values = values.astype(np.float64)
        carried = np.zeros((len(self.sources), *values.shape[1:]))
        for source, share in zip(self.sources.T, self.shares.T, strict=True):
            rows = np.flatnonzero(share)
            carried[rows] += values[source[rows]] * share[rows].reshape(-1, *[1] * (values.ndim - 1))
        return carried


def cut_out(faces: Int32, keep: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Int32]:
    """The kept vertices' old indices and the triangles between them."""
    rows = np.flatnonzero(keep)
    renumbered = np.full(keep.size, -1, np.int32)
    renumbered[rows] = np.arange(rows.size, dtype=np.int32)
    inside = keep[faces].all(axis=1)
    return rows, renumbered[faces[inside]]


def split_longest(vertices: Array, faces: Int32, wanted: int) -> Refined:
    """Split the longest edges at their middles until there are ``wanted`` vertices. Old vertices keep their numbers.

    Each round splits edges that share no triangle, longest first.

    Raises:
        ValueError: the mesh cannot grow that far without vertices made of more than four old ones.
    """
    points = list(vertices)
    recipes: list[dict[int, float]] = [{index: 1.0} for index in range(len(vertices))]
    triangles = [(int(a), int(b), int(c)) for a, b, c in faces]
    while len(points) < wanted:
        edges: dict[tuple[int, int], list[int]] = {}
        for number, (a, b, c) in enumerate(triangles):
            for u, v in ((a, b), (b, c), (c, a)):
                edges.setdefault((min(u, v), max(u, v)), []).append(number)
        # Rounded, so that the two halves of a symmetric face take their turns in the same order on every machine.
        ranked = sorted(edges, key=lambda edge: -round(float(np.sum((points[edge[0]] - points[edge[1]]) ** 2)), 12))
        touched: set[int] = set()
        fresh: list[tuple[int, int, int]] = []
        for u, v in ranked:
            if len(points) >= wanted:
                break
            if touched.intersection(edges[u, v]) or len(recipes[u].keys() | recipes[v].keys()) > _MOST_SOURCES:
                continue
            touched.update(edges[u, v])
            middle = len(points)
            points.append(0.5 * (points[u] + points[v]))
            both = recipes[u].keys() | recipes[v].keys()
            recipes.append({key: 0.5 * (recipes[u].get(key, 0.0) + recipes[v].get(key, 0.0)) for key in sorted(both)})
            for number in edges[u, v]:
                a, b, c = triangles[number]
                fresh.append(tuple(middle if i == v else i for i in (a, b, c)))  # type: ignore[arg-type]
                fresh.append(tuple(middle if i == u else i for i in (a, b, c)))  # type: ignore[arg-type]
        if not touched:
            raise ValueError(f"expected a mesh that can grow to {wanted} vertices, got stuck at {len(points)}")
        triangles = [face for number, face in enumerate(triangles) if number not in touched] + fresh
    return Refined(np.array(triangles, np.int32), *_table(recipes))


def _table(recipes: list[dict[int, float]]) -> tuple[Int32, Array]:
    sources = np.zeros((len(recipes), _MOST_SOURCES), np.int32)
    shares = np.zeros((len(recipes), _MOST_SOURCES))
    for row, recipe in enumerate(recipes):
        sources[row, : len(recipe)] = list(recipe)
        shares[row, : len(recipe)] = list(recipe.values())
    return sources, shares
