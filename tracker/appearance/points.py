"""Where on a face model's skin its appearance is measured: evenly spread points with mirror partners and neighbours.

Points are drawn on one half of the face, farthest point first, and mirrored through the model's left-right partners, so that
point ``i`` and point ``partner[i]`` mark the same place on both sides. The layout follows from the model and the count alone:
whoever has the model has the points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.model import FaceModel
from tracker.face_model.normals import vertex_normals

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

POINT_COUNT: Final = 2000
NEIGHBOURS: Final = 6
_LISTED: Final = 24
_ROWS: Final = 100
"""Distances are made for so many points at a time, to keep memory low."""
_CANDIDATES_PER_POINT: Final = 4
_AWAY: Final = ("scalp", "ear_left", "ear_right", "neck")
"""Regions under hair or clothes, or too far from the landmarks to be placed well."""
_FEATURES: Final = ("brow_left", "brow_right", "eye_left", "eye_right", "mouth")
_LEAST_MASK: Final = 0.3
"""Brows, too, stay where they are and look the same tomorrow."""
_LEAST_AGREEMENT: Final = 0.3
"""Cosine of template normals below which two points are on different sheets (the two lips)."""


@dataclass(frozen=True, slots=True)
class SkinPoints:
    """P points on the skin of one face model."""

    corners: Int32
    """(P, 3) vertices of the triangle that holds each point."""
    barycentric: Float32
    """(P, 3) weights of the corners."""
    partner: Int32
    """(P,) the point at the mirrored place."""
    neighbours: Int32
    """(K, P) nearest points on the same sheet of skin; a point that has fewer lists itself."""
    surroundings: Int32
    """(S, P) points of the next ring but one: their mean is a point's colour without its detail."""
    frame: Int32
    """(4, P) right, upper, left and lower neighbour as seen from outside: their cross gives the normal."""
    regions: NDArray[np.bool_]
    """(P, R) membership in the model's regions."""
    is_bare: NDArray[np.bool_]
    """(P,) plain skin: not brow, eye or mouth. These points define the mean skin tone."""
    uv: Float32
    """(P, 2) texture coordinates."""
    template: Float32
    """(P, 3) places on the relaxed mean head, head axes, metres."""
    spacing_m: float
    """Typical distance to the nearest neighbour."""

    @property
    def count(self) -> int:
        return len(self.corners)


def place_points(model: FaceModel, count: int = POINT_COUNT) -> SkinPoints:
    """Spread ``count`` points (rounded down to even) over the skin of a model."""
    mirrors = bool((model.mirror != np.arange(model.vertex_count)).any())
    corners, barycentric, faces = _spread(model, count // 2 if mirrors else count, half=mirrors)
    uv = _mix(barycentric, model.uv[model.uv_faces[faces]]) if len(model.uv) else np.zeros((len(faces), 2), np.float32)
    partner = np.arange(len(faces), dtype=np.int32)
    if mirrors:
        corners_mirrored = model.mirror[corners].astype(np.int32)
        uv = np.concatenate([uv, _mirrored_uv(model, corners_mirrored, barycentric)])
        corners = np.concatenate([corners, corners_mirrored])
        barycentric = np.concatenate([barycentric, barycentric])
        partner = np.concatenate([partner + len(faces), partner]).astype(np.int32)
    template = _mix(barycentric, model.template[corners])
    normals = _mix(barycentric, vertex_normals(model.template, model.faces)[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    neighbours, surroundings, distance = _neighbours(template, normals)
    nearest = corners[np.arange(len(corners)), barycentric.argmax(axis=1)]
    features = [model.region_names.index(name) for name in _FEATURES if name in model.region_names]
    return SkinPoints(
        corners=corners,
        barycentric=barycentric,
        partner=partner,
        neighbours=np.ascontiguousarray(neighbours.T),
        surroundings=np.ascontiguousarray(surroundings.T),
        frame=_frames(template, normals, neighbours),
        regions=model.regions[nearest],
        is_bare=~model.regions[nearest][:, features].any(axis=1),
        uv=uv,
        template=template,
        spacing_m=max(float(np.median(distance)), 1e-6),
    )


def _spread(model: FaceModel, count: int, *, half: bool) -> tuple[Int32, Float32, Int32]:
    """Triangle corners, weights and triangle of ``count`` points on the skin, or on the subject's left half of it."""
    away = [model.region_names.index(name) for name in _AWAY if name in model.region_names]
    usable = (model.skin_mask > _LEAST_MASK) & ~model.regions[:, away].any(axis=1)
    faces = np.flatnonzero(usable[model.faces].all(axis=1))
    triangles = model.template[model.faces[faces]]
    if half:
        left = triangles[:, :, 0].mean(axis=1) >= 0.0
        faces, triangles = faces[left], triangles[left]
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    rng = np.random.default_rng(0)
    wanted = count * _CANDIDATES_PER_POINT
    ends = np.cumsum(area)
    chosen = np.searchsorted(ends, (np.arange(wanted) + 0.5) * (ends[-1] / wanted))
    root, along = np.sqrt(rng.random(wanted)), rng.random(wanted)
    barycentric = np.stack([1.0 - root, root * (1.0 - along), root * along], axis=1).astype(np.float32)
    places = _mix(barycentric, triangles[chosen])
    # A point on the midline would coincide with its own partner.
    allowed = np.flatnonzero(places[:, 0] > 0.0) if half else np.arange(wanted)
    kept = allowed[_farthest_first(places[allowed], count, half=half)]
    return model.faces[faces[chosen[kept]]], barycentric[kept], faces[chosen[kept]].astype(np.int32)


def _farthest_first(places: Float32, count: int, *, half: bool) -> NDArray[np.intp]:
    """Indices of ``count`` places (M, 3), each the farthest from those before it and, of a half, from its own mirror image."""
    columns = np.ascontiguousarray(places.T)
    chosen = np.zeros(min(count, len(places)), np.intp)
    distance = np.square(2.0 * columns[0]) if half else np.full(len(places), np.inf, np.float32)
    for index in range(1, len(chosen)):
        last = columns[:, chosen[index - 1], None]
        offset = columns - last
        np.square(offset, out=offset)
        np.minimum(distance, offset[0] + offset[1] + offset[2], out=distance)
        chosen[index] = distance.argmax()
    return chosen


def _neighbours(template: Float32, normals: Float32) -> tuple[Int32, Int32, Float32]:
    """(P, K) nearest points, (P, S) points around those, and (P,) distance to the nearest."""
    count = len(template)
    found = np.empty((count, _LISTED), np.int32)
    nearest = np.empty(count, np.float32)
    squares = (template**2).sum(axis=1)
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        distance = squares[rows, None] + squares[None] - 2.0 * (template[rows] @ template.T)
        distance[normals[rows] @ normals.T < _LEAST_AGREEMENT] = np.inf
        own = np.arange(start, min(start + _ROWS, count))
        distance[own - start, own] = np.inf
        closest = np.argpartition(distance, _LISTED, axis=1)[:, :_LISTED]
        how_far = np.take_along_axis(distance, closest, axis=1)
        order = np.argsort(how_far, axis=1)
        closest, how_far = np.take_along_axis(closest, order, axis=1), np.take_along_axis(how_far, order, axis=1)
        found[rows] = np.where(np.isfinite(how_far), closest, own[:, None])
        nearest[rows] = np.sqrt(np.maximum(how_far[:, 0], 0.0))
    return found[:, :NEIGHBOURS], found[:, _LISTED - 2 * NEIGHBOURS + 1 :: 2], nearest


def _frames(template: Float32, normals: Float32, neighbours: Int32) -> Int32:
    """(4, P) the neighbours that lie most to the right, up, left and down; the point itself where there is none."""
    up = np.array([0.0, 1.0, 0.0]) - normals * normals[:, 1:2]
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    right = np.cross(up, normals)
    offset = template[neighbours] - template[:, None]
    x, y = np.einsum("pkd,pd->pk", offset, right), np.einsum("pkd,pd->pk", offset, up)
    own = np.arange(len(template))
    frame = np.empty((4, len(template)), np.int32)
    for row, towards in enumerate((x, y, -x, -y)):
        best = towards.argmax(axis=1)
        frame[row] = np.where(towards[own, best] > 0.0, neighbours[own, best], own)
    return frame


def _mirrored_uv(model: FaceModel, corners: Int32, barycentric: Float32) -> Float32:
    """Texture coordinates at points whose corners need not be a triangle of the mesh: each corner's last one."""
    if not len(model.uv):
        return np.zeros((len(corners), 2), np.float32)
    wedge = np.zeros((model.vertex_count, 2), np.float32)
    wedge[model.faces.ravel()] = model.uv[model.uv_faces.ravel()]
    return _mix(barycentric, wedge[corners])


def _mix(weights: Float32, values: NDArray[np.floating]) -> Float32:
    mixed: Float32 = np.einsum("pc,pcd->pd", weights, values).astype(np.float32)
    return mixed
