"""Mesh simplification that keeps a subset of the vertices: half-edge collapses ordered by quadric error.

Garland and Heckbert 1997 with the survivor of a collapse left where it is, so that every coarser level is a subset of the finer
one: vertex bases, landmark sets and spiral-convolution pyramids all only pick rows. Besides the quadric error a
collapse costs a little by its length, which spreads the survivors over flat places.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.registration.surface import Surface

Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

_SPREAD: Final = 0.05
"""Cost of a collapse per area and squared length, beside the quadric error's squared distance to the planes."""
_BORDER: Final = 10.0
"""Weight of the planes that stand on border edges and keep them in place."""
_LEAST_COSINE: Final = 0.1
"""Triangles may not turn further than this in a collapse."""


@dataclass(frozen=True, slots=True)
class Simplified:
    """A coarser mesh on some of the vertices of a finer one."""

    kept: Int
    """(n,) the finer mesh's vertices that are left, ascending."""
    faces: Int
    """(m, 3) triangles in the numbers of ``kept``."""


def simplify(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], counts: Sequence[int], mirror: Int | None = None
) -> list[Simplified]:
    """Coarser meshes of the wanted numbers of vertices, each a subset of the one before.

    Args:
        vertices: (V, 3).
        faces: (F, 3). Vertices without triangles are dropped at once.
        counts: wanted numbers, falling. A mesh that allows no further collapse keeps more.
        mirror: (V,) left-right partners: pairs leave together wherever both can, so that subsets are symmetric.

    Raises:
        ValueError: a count is above the number of vertices, or they do not fall.
    """
    used = np.unique(faces)
    if any(b >= a for a, b in pairwise([len(used) + 1, *counts])) or min(counts, default=4) < 4:
        raise ValueError(f"expected falling counts between 4 and {len(used)}, got {list(counts)}")
    work = _Collapser(np.asarray(vertices, np.float64), np.asarray(faces, np.intp), mirror)
    levels = []
    for count in counts:
        work.reduce(count)
        levels.append(work.result())
    return levels


def sampling_matrices(
    vertices: NDArray[np.floating], coarse: Simplified
) -> tuple[tuple[Int, Int, Float64], tuple[Int, Int, Float64]]:
    """Down- and upsampling between a mesh and its simplification (Ranjan 2018, CoMA, section 3.2).

    Args:
        vertices: (V, 3) of the finer mesh.
        coarse: from ``simplify``.

    Returns:
        Rows, columns and values of Q_d (n, V), which picks vertices, and of Q_u (V, n), which puts dropped vertices at the
        barycentric place of the nearest triangle that is left.
    """
    count = len(coarse.kept)
    down = (np.arange(count), coarse.kept, np.ones(count))
    points = np.asarray(vertices, np.float64)
    place = Surface(points[coarse.kept], coarse.faces).nearest(points)
    corners = coarse.faces[place.faces].copy()
    share = place.barycentric.copy()
    share[coarse.kept] = [1.0, 0.0, 0.0]
    corners[coarse.kept, 0] = np.arange(count)
    up = (np.arange(len(points)).repeat(3), corners.ravel(), share.ravel())
    return down, up


class _Collapser:
    """A mesh in the course of simplification."""

    def __init__(self, vertices: Float64, faces: Int, mirror: Int | None) -> None:
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        self._points = (vertices - low) / max(float((high - low).max()), 1e-300)
        self._faces: dict[int, tuple[int, int, int]] = {}
        self._around: dict[int, set[int]] = {}
        for number, (a, b, c) in enumerate(faces.tolist()):
            if a != b and b != c and a != c:
                self._faces[number] = (a, b, c)
                for corner in (a, b, c):
                    self._around.setdefault(corner, set()).add(number)
        self._mirror = None if mirror is None else mirror.tolist()
        self._quadric = self._quadrics()
        self._version = dict.fromkeys(self._around, 0)
        self._heap: list[tuple[float, int, int, int, int]] = []
        for vertex in sorted(self._around):
            for other in sorted(self._neighbours(vertex)):
                self._push(vertex, other)

    def reduce(self, count: int) -> None:
        """Collapse until ``count`` vertices are left or nothing can collapse any more."""
        waiting: list[tuple[float, int, int, int, int]] = []
        while len(self._around) > count and self._heap:
            entry = heapq.heappop(self._heap)
            _, gone, stays, version_gone, version_stays = entry
            if self._version.get(gone) != version_gone or self._version.get(stays) != version_stays:
                continue
            if not self._may(gone, stays):
                continue
            partner = None if self._mirror is None else (self._mirror[gone], self._mirror[stays])
            paired = partner is not None and partner[0] != gone
            if paired and len(self._around) - 2 < count:
                # One too many for a pair: leave it to a vertex of the midline, or to a later level.
                waiting.append(entry)
                continue
            self._collapse(gone, stays)
            if paired and partner is not None and self._adjacent(*partner) and self._may(*partner):
                self._collapse(*partner)
        for entry in waiting:
            heapq.heappush(self._heap, entry)
        if len(self._around) > count:
            self._reduce_unpaired(count)

    def _reduce_unpaired(self, count: int) -> None:
        kept, self._mirror = self._mirror, None
        if kept is not None:
            self.reduce(count)
        self._mirror = kept

    def result(self) -> Simplified:
        kept = np.array(sorted(self._around), np.intp)
        faces = np.array([self._faces[number] for number in sorted(self._faces)], np.intp).reshape(-1, 3)
        return Simplified(kept, np.searchsorted(kept, faces))

    def _quadrics(self) -> dict[int, Float64]:
        quadric = {vertex: np.zeros((4, 4)) for vertex in self._around}
        sides: dict[tuple[int, int], list[int]] = {}
        normal_of: dict[int, Float64] = {}
        for number, corners in self._faces.items():
            a, b, c = (self._points[i] for i in corners)
            cross = np.cross(b - a, c - a)
            area2 = float(np.linalg.norm(cross))
            normal = cross / max(area2, 1e-300)
            normal_of[number] = normal
            plane = np.append(normal, -normal @ a)
            error = np.outer(plane, plane) * area2
            for i in corners:
                quadric[i] += error
            for u, v in zip(corners, (*corners[1:], corners[0]), strict=True):
                sides.setdefault((min(u, v), max(u, v)), []).append(number)
        for (u, v), numbers in sides.items():
            if len(numbers) == 1:
                along = self._points[v] - self._points[u]
                across = np.cross(along, normal_of[numbers[0]])
                length = max(float(np.linalg.norm(across)), 1e-300)
                plane = np.append(across / length, -(across / length) @ self._points[u])
                error = np.outer(plane, plane) * _BORDER * length**2
                quadric[u] += error
                quadric[v] += error
        return quadric

    def _neighbours(self, vertex: int) -> set[int]:
        return {corner for number in self._around[vertex] for corner in self._faces[number]} - {vertex}

    def _adjacent(self, one: int, other: int) -> bool:
        return one in self._around and other in self._around and one in self._neighbours(other)

    def _push(self, gone: int, stays: int) -> None:
        place = np.append(self._points[stays], 1.0)
        error = float(place @ (self._quadric[gone] + self._quadric[stays]) @ place)
        length2 = float(((self._points[gone] - self._points[stays]) ** 2).sum())
        heapq.heappush(
            self._heap,
            (error + _SPREAD * length2**2, gone, stays, self._version[gone], self._version[stays]),
        )

    def _may(self, gone: int, stays: int) -> bool:
        """Whether the collapse leaves a surface: the link condition, borders kept, no triangle turned over."""
        shared = self._around[gone] & self._around[stays]
        common = self._neighbours(gone) & self._neighbours(stays)
        if not shared or len(common) != len(shared) or len(shared) > 2:
            return False
        if self._on_border(gone) and (len(shared) != 1 or not self._on_border(stays)):
            return False
        for number in self._around[gone] - shared:
            corners = self._faces[number]
            before = self._normal(corners)
            after = self._normal(tuple(stays if i == gone else i for i in corners))  # type: ignore[arg-type]
            if before @ after <= _LEAST_COSINE * np.sqrt((before @ before) * (after @ after)):
                return False
        return len(self._around[gone] - shared) > 0

    def _normal(self, corners: tuple[int, int, int]) -> Float64:
        a, b, c = (self._points[i] for i in corners)
        u, v = b - a, c - a
        return np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])

    def _on_border(self, vertex: int) -> bool:
        seen: dict[int, int] = {}
        for number in self._around[vertex]:
            for corner in self._faces[number]:
                seen[corner] = seen.get(corner, 0) + 1
        return any(uses == 1 for corner, uses in seen.items() if corner != vertex)

    def _collapse(self, gone: int, stays: int) -> None:
        touched = self._neighbours(gone) | {stays}
        for number in list(self._around[gone]):
            corners = self._faces[number]
            if stays in corners:
                for corner in corners:
                    self._around[corner].discard(number)
                del self._faces[number]
            else:
                self._faces[number] = tuple(stays if i == gone else i for i in corners)  # type: ignore[assignment]
                self._around[stays].add(number)
        del self._around[gone], self._version[gone]
        self._quadric[stays] = self._quadric[stays] + self._quadric.pop(gone)
        self._version[stays] += 1
        for vertex in touched:
            if vertex in self._around and not self._around[vertex]:
                del self._around[vertex], self._version[vertex]
        if stays in self._around:
            for other in sorted(self._neighbours(stays)):
                self._push(stays, other)
                self._push(other, stays)
