"""Non-rigid ICP: a template pulled onto a surface, stiff at first and ever softer.

Optimal-step non-rigid ICP (Amberg 2007): one affine transform per vertex, neighbours' transforms kept alike, solved exactly for
fixed matches. With the terms of Zhu 2022 (Beyond 3DMM), section 6.1: edge points and face-contour points pull in the frontal
plane only (equations 9 and 10), so the first two rows of the transforms are solved with them and the third row by the
surface alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.optional import require
from tracker.face_model.importing.registration.surface import PURPOSE, Surface, SurfacePoints, edges_of
from tracker.face_model.normals import vertex_normals

Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

_UNIT_M: Final = 0.1
"""Lengths are in decimetres inside, so that a transform's linear part and its translation weigh alike."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One level of stiffness."""

    stiffness: float
    edge: float
    """Weight of one edge point, where a matched vertex weighs 1."""
    contour: float
    """Weight of one contour point."""
    reach_m: float
    """Matches farther than this are not believed."""
    rounds: int = 3


STAGES: Final = (
    Stage(20.0, 6.0, 2.0, 0.04, 2),
    Stage(8.0, 6.0, 2.0, 0.03),
    Stage(4.0, 5.0, 1.5, 0.02),
    Stage(2.0, 4.0, 1.0, 0.015),
    Stage(1.0, 3.0, 0.5, 0.012),
    Stage(0.5, 2.0, 0.25, 0.010),
    Stage(0.25, 1.5, 0.0, 0.008),
)


@dataclass(frozen=True, slots=True)
class Marks:
    """Points of the template that have a place to go to."""

    faces: Int
    """(n,) triangle of the template."""
    barycentric: Float64
    """(n, 3)."""
    target: Float64
    """(n, 3) where it should go, metres; depth counts only where ``solid``."""
    weight: Float64
    """(n,)."""
    solid: NDArray[np.bool_]
    """(n,) the depth is known too."""
    contour: NDArray[np.bool_]
    """(n,) the point slides: it is drawn to the polyline through all contour targets, in their order."""

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True, slots=True)
class Deformed:
    """The template on the surface."""

    vertices: Float64
    """(n, 3) metres."""
    transforms: Float64
    """(n, 4, 3): ``vertex = [x y z 1] @ transform`` of each vertex."""
    match: SurfacePoints
    """Nearest surface points of the final vertices."""
    weight: Float64
    """(n,) 0..1 how much the last match was believed."""


def deform(
    template: Float64,
    faces: Int,
    surface: Surface,
    marks: Marks,
    vertex_weight: Float64 | None = None,
    stages: tuple[Stage, ...] = STAGES,
    step: Callable[[], None] | None = None,
) -> Deformed:
    """Pull a template onto a surface that lies nearly in place.

    Args:
        template: (n, 3) metres, head axes.
        faces: (F, 3) its triangles; every vertex belongs to one.
        surface: the target.
        marks: edge and contour points; may be empty.
        vertex_weight: (n,) how far each vertex's matches count; 1 by default.
        stages: from stiff to soft.
        step: called after every solve.
    """
    solver = _Solver(template / _UNIT_M, faces)
    transforms = solver.identity()
    border = _border(faces, len(template))
    trust = np.ones(len(template)) if vertex_weight is None else vertex_weight
    vertices = template.copy()
    weight = np.zeros(len(template))
    match = surface.nearest(vertices)
    for stage in stages:
        for _ in range(stage.rounds):
            normals = vertex_normals(vertices, faces)
            match = surface.nearest(vertices, normals, 0.3)
            weight = trust * _belief(match, surface, border, stage.reach_m)
            goal = _contour_goals(marks, vertices, faces)
            pull = np.where(marks.contour, stage.contour, stage.edge) * marks.weight
            transforms = solver.solve(stage.stiffness, weight, match.position / _UNIT_M, marks, goal / _UNIT_M, pull)
            vertices = solver.apply(transforms) * _UNIT_M
            if step is not None:
                step()
    match = surface.nearest(vertices, vertex_normals(vertices, faces), 0.3)
    scaled = transforms.reshape(-1, 4, 3).copy()
    scaled[:, 3] *= _UNIT_M
    return Deformed(vertices, scaled, match, weight)


def _belief(match: SurfacePoints, surface: Surface, border: NDArray[np.bool_], reach_m: float) -> Float64:
    """(n,) 0..1: matches count by distance and by how alike the surfaces face; what was drawn to the surface's border does
    not count, for there the surface merely ends, unless the template ends there as well.
    """
    typical = max(1.5 * float(np.median(match.distance)), 0.0005)
    near = np.where(match.distance < reach_m, 1.0 / (1.0 + (match.distance / typical) ** 2), 0.0)
    alike = np.clip((match.cosine - 0.3) / 0.5, 0.0, 1.0)
    corners = surface.faces[match.faces]
    on_border = ((match.barycentric < 1e-6) | surface.boundary[corners]).all(axis=1)
    result: Float64 = near * alike * ~(on_border & ~border)
    return result


def _border(faces: Int, count: int) -> NDArray[np.bool_]:
    """(n,) vertices on the template's own borders, and their neighbours."""
    edges, _, uses = edges_of(faces)
    border = np.zeros(count, np.bool_)
    border[edges[uses == 1]] = True
    touched = border[edges].any(axis=1)
    border[edges[touched]] = True
    return border


def _contour_goals(marks: Marks, vertices: Float64, faces: Int) -> Float64:
    """(n, 3) where marks go now: their targets, or for contour points the frontal-plane nearest point of the contour."""
    goal = marks.target.copy()
    chosen = np.flatnonzero(marks.contour)
    if len(chosen) < 2:
        return goal
    now = np.einsum("nk,nki->ni", marks.barycentric[chosen], vertices[faces[marks.faces[chosen]]])
    line = marks.target[chosen]
    start, along = line, np.roll(line, -1, axis=0) - line
    offset = now[:, None, :2] - start[None, :, :2]
    length2 = np.maximum((along[:, :2] ** 2).sum(axis=1), 1e-12)
    share = np.clip((offset * along[None, :, :2]).sum(axis=2) / length2, 0.0, 1.0)
    points = start[None] + share[:, :, None] * along[None]
    nearest = ((points[:, :, :2] - now[:, None, :2]) ** 2).sum(axis=2).argmin(axis=1)
    goal[chosen] = points[np.arange(len(chosen)), nearest]
    return goal


class _Solver:
    """The sparse least squares of one template."""

    def __init__(self, template: Float64, faces: Int) -> None:
        self._sparse: Any = require("scipy.sparse", PURPOSE)
        self._linalg: Any = require("scipy.sparse.linalg", PURPOSE)
        self._faces = faces
        self._homogeneous = np.column_stack([template, np.ones(len(template))])
        edges, _, _ = edges_of(faces)
        count, sides = len(template), len(edges)
        rows = np.arange(sides).repeat(2)
        incidence = self._sparse.csr_matrix((np.tile([-1.0, 1.0], sides), (rows, edges.ravel())), shape=(sides, count))
        laplacian = incidence.T @ incidence
        self._stiff = self._sparse.kron(laplacian, self._sparse.eye(4), format="csr")
        self._columns = np.arange(4 * count).reshape(count, 4)
        self._count = count
        # Which unknown is eliminated when depends on the triangles alone: it is found once, vertex by vertex.
        pattern = (laplacian + self._sparse.eye(count)).tocsc()
        by_vertex = np.argsort(self._factors(pattern, "MMD_AT_PLUS_A").perm_c)
        self._order = self._columns[by_vertex].ravel()

    def identity(self) -> Float64:
        """(4n, 3) transforms that do nothing."""
        return np.tile(np.eye(4, 3), (self._count, 1))

    def apply(self, transforms: Float64) -> Float64:
        """(n, 3) vertices."""
        result: Float64 = np.einsum("nk,nki->ni", self._homogeneous, transforms.reshape(-1, 4, 3))
        return result

    def solve(
        self, stiffness: float, weight: Float64, matched: Float64, marks: Marks, goal: Float64, pull: Float64
    ) -> Float64:
        """(4n, 3) transforms for fixed matches and goals, all in inner units."""
        matching = self._rows(np.arange(self._count)[:, None], np.ones((self._count, 1)))
        system = stiffness**2 * self._stiff + matching.T @ self._scaled(matching, weight**2)
        right = matching.T @ (weight[:, None] ** 2 * matched)
        marking = self._rows(self._faces[marks.faces], marks.barycentric)
        result = np.empty((4 * self._count, 3))
        for axes, counted in (([0, 1], pull), ([2], np.where(marks.solid, pull, 0.0))):
            full = system + marking.T @ self._scaled(marking, counted**2)
            pulled = right[:, axes] + marking.T @ (counted[:, None] ** 2 * goal[:, axes])
            # A vertex with no match and no stiff neighbour would leave the system singular.
            full = (full + 1e-9 * self._sparse.eye(full.shape[0])).tocsr()[self._order][:, self._order].tocsc()
            solved = self._factors(full, "NATURAL").solve(np.ascontiguousarray(pulled[self._order]))
            result[self._order[:, None], axes] = solved
        return result

    def _factors(self, system: Any, order: str) -> Any:
        return self._linalg.splu(system, permc_spec=order, options={"SymmetricMode": True}, diag_pivot_thresh=0.0)

    def _rows(self, vertices: Int, share: Float64) -> Any:
        """One row per point: the weighted sum of its corners' transformed positions."""
        count, corners = share.shape
        values = share[:, :, None] * self._homogeneous[vertices]
        rows = np.arange(count).repeat(corners * 4)
        return self._sparse.csr_matrix(
            (values.ravel(), (rows, self._columns[vertices].ravel())), shape=(count, 4 * self._count)
        )

    def _scaled(self, rows: Any, weight: Float64) -> Any:
        return self._sparse.diags(weight) @ rows
