"""Annotations of the mesh: parts, bare-skin mask, named regions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head import mediapipe_points as mp
from tools.build_head.selection import HeadMesh
from tools.build_head.surface import vertex_normals

PART_NAMES: Final = ("skin", "eye_left", "eye_right", "teeth", "tongue", "inner_mouth", "eye_socket")
REGION_NAMES: Final = (
    "forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "mouth", "chin",
    "jaw_line", "ear_left", "ear_right", "neck", "scalp",
)  # fmt: skip
NOSTRIL_WIDTH_M: Final = 0.012
NOSE_POINTS: Final = (
    168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 327, 48, 278, 115, 344, 220, 440, 131, 360, 198, 420, 236, 456, 129, 358,
)  # fmt: skip

Array = NDArray[np.float64]
_HELPER_PARTS: Final = {
    "eye_left": "eye_left",
    "eye_right": "eye_right",
    "helper-lower-teeth": "teeth",
    "helper-upper-teeth": "teeth",
    "helper-tongue": "tongue",
}


def vertex_parts(mesh: HeadMesh, template: Array) -> NDArray[np.int8]:
    """(V,) index into ``PART_NAMES``; mouth cavity and eye sockets are charts of their own in the texture layout."""
    parts = np.full(len(template), PART_NAMES.index("skin"), np.int8)
    for group, part in _HELPER_PARTS.items():
        parts[mesh.groups == group] = PART_NAMES.index(part)
    charts = face_charts(mesh)
    body = mesh.groups[mesh.faces[:, 0]] == "body"
    for chart in np.unique(charts[body]):
        triangles = mesh.faces[body & (charts == chart)]
        others = mesh.faces[body & (charts != chart)]
        inside = np.setdiff1d(triangles, others)
        middle = template[np.unique(triangles)].mean(0)
        if len(triangles) > 2000 or middle[1] < -0.09:
            continue  # the head's skin, and the neck
        parts[inside] = PART_NAMES.index("inner_mouth" if abs(middle[0]) < 0.01 else "eye_socket")
    return parts


def face_charts(mesh: HeadMesh) -> NDArray[np.int64]:
    """(F,) number of the connected chart of the texture layout that each triangle lies in."""
    label = np.arange(len(mesh.uv))
    while True:
        lowest = label[mesh.uv_faces].min(axis=1)
        updated = label.copy()
        np.minimum.at(updated, mesh.uv_faces.ravel(), np.repeat(lowest, 3))
        updated = updated[updated]
        if np.array_equal(updated, label):
            break
        label = updated
    _, chart = np.unique(label[mesh.uv_faces[:, 0]], return_inverse=True)
    return chart


def skin_mask(mesh: HeadMesh, template: Array, parts: NDArray[np.int8], points: Array) -> Array:
    """(V,) 1 on bare facial skin, 0.5 on the brows and around, 0 on scalp, ears' back, eyes, lid margins, inner mouth, nostrils.

    Args:
        points: (478, 3) the landmarks on the template.
    """
    mask = np.ones(len(template))
    front, top = template[:, 2], template[:, 1]
    hairline = points[10, 1]
    mask *= np.clip((hairline + 0.008 - top) / 0.012, 0, 1)
    # In front of a plane just before the ears, which the oval's widest points mark.
    ears = points[[127, 234, 93, 356, 454, 323], 2].mean()
    mask *= np.clip((front - ears + 0.004) / 0.012, 0, 1)
    mask *= np.clip((top - points[152, 1] + 0.006) / 0.012, 0, 1)
    for indices in (mp.BROW_LEFT, mp.BROW_RIGHT):
        near = nearest_distance(template, points[list(indices)])
        mask = np.minimum(mask, 0.5 + 0.5 * np.clip((near - 0.005) / 0.006, 0, 1))
    for lids in (mp.EYE_UPPER_LEFT + mp.EYE_LOWER_LEFT, mp.EYE_UPPER_RIGHT + mp.EYE_LOWER_RIGHT):
        near = nearest_distance(template, points[list(lids)])
        mask = np.minimum(mask, np.clip((near - 0.001) / 0.003, 0, 1))
    mask[parts != PART_NAMES.index("skin")] = 0.0
    neighbours = vertex_neighbours(mesh.faces, len(template))
    for vertex in np.flatnonzero(parts != PART_NAMES.index("skin")):
        mask[neighbours[vertex]] = np.minimum(mask[neighbours[vertex]], 0.5)
    mask[nostrils(mesh, template, points)] = 0.0
    return mask


def nostrils(mesh: HeadMesh, template: Array, points: Array) -> NDArray[np.bool_]:
    """(V,) vertices inside the nostrils: near the nose's base, with another wall close before them."""
    base = points[[98, 327, 2]].mean(0)
    near = np.flatnonzero((np.abs(template - base) < [0.025, 0.02, 0.03]).all(axis=1))
    walls = template[mesh.faces[np.isin(mesh.faces, near).any(axis=1)]]
    normals = vertex_normals(template, mesh.faces)
    inside = np.zeros(len(template), bool)
    for vertex in near:
        inside[vertex] = (
            _wall_distance(template[vertex] + 1e-5 * normals[vertex], normals[vertex], walls) < NOSTRIL_WIDTH_M
        )
    # The crease between wing and cheek also has a wall before it, but lies at the side.
    inside &= np.abs(template[:, 0]) < np.abs(points[[129, 358], 0]).mean() - 0.004
    return inside


def _wall_distance(origin: Array, direction: Array, triangles: Array) -> float:
    """Distance along a ray to the first of the triangles (n, 3, 3) (Moeller and Trumbore 1997); infinity if it hits none."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(direction, second)
    volume = (first * across).sum(1)
    safe = np.where(np.abs(volume) < 1e-15, np.inf, volume)
    offset = origin - triangles[:, 0]
    u = (offset * across).sum(1) / safe
    turned = np.cross(offset, first)
    v = turned @ direction / safe
    distance = (turned * second).sum(1) / safe
    hit = (u > 0) & (v > 0) & (u + v < 1) & (distance > 0)
    return float(distance[hit].min()) if hit.any() else float("inf")


def regions(
    mesh: HeadMesh, template: Array, parts: NDArray[np.int8], points: Array, on_ear: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(V, R) membership, made of distances to landmarks.

    Args:
        on_ear: (V,) vertices of the ears.
    """
    skin = parts == PART_NAMES.index("skin")
    result = np.zeros((len(template), len(REGION_NAMES)), bool)
    x, y, z = template.T
    left, right = x >= -1e-6, x <= 1e-6

    def near(indices: tuple[int, ...], reach: float) -> NDArray[np.bool_]:
        return np.asarray(skin & (nearest_distance(template, points[list(indices)]) < reach))

    def part(*names: str) -> NDArray[np.bool_]:
        return np.isin(parts, [PART_NAMES.index(name) for name in names])

    lips = mp.LIPS_OUTER_UPPER + mp.LIPS_OUTER_LOWER + mp.LIPS_INNER_UPPER + mp.LIPS_INNER_LOWER
    # An ear's height before which the face ends, and a chin line that rises towards the ears.
    ear_z = points[[234, 454], 2].mean() - 0.005
    jaw_y = points[152, 1] - 0.008 + 0.55 * (points[152, 2] - z)
    face = skin & ~on_ear & (z > ear_z) & (y < points[10, 1] + 0.01) & (y > jaw_y)
    chosen = {
        "mouth": near(lips, 0.007),
        "eye_left": near(mp.EYE_UPPER_LEFT + mp.EYE_LOWER_LEFT, 0.008),
        "eye_right": near(mp.EYE_UPPER_RIGHT + mp.EYE_LOWER_RIGHT, 0.008),
        "nose": near(NOSE_POINTS, 0.009),
        "brow_left": near(mp.BROW_LEFT, 0.007) & left,
        "brow_right": near(mp.BROW_RIGHT, 0.007) & right,
        "forehead": face & (y > points[[105, 334], 1].mean()),
        "chin": face & (y < points[17, 1]) & (np.abs(x) < np.abs(points[[61, 291], 0]).mean()),
        "jaw_line": near(mp.IBUG_JAW, 0.016) & (y < points[[132, 361], 1].mean()),
        "cheek_left": face & left,
        "cheek_right": face & right,
        "ear_left": on_ear & left,
        "ear_right": on_ear & right,
        "neck": skin & (y < np.minimum(jaw_y + 0.012, points[[132, 361], 1].mean())),
        "scalp": skin,
    }
    taken = np.zeros(len(template), bool)
    for name, members in chosen.items():
        result[:, REGION_NAMES.index(name)] = members & ~taken
        # Midline vertices of the cheeks belong to both sides.
        taken |= members & ~(right & left) if name == "cheek_left" else members
    result[:, REGION_NAMES.index("mouth")] |= part("teeth", "tongue", "inner_mouth")
    for side, sign in (("left", left), ("right", right)):
        result[:, REGION_NAMES.index(f"eye_{side}")] |= part(f"eye_{side}") | (part("eye_socket") & sign)
    return result


def nearest_distance(vertices: Array, points: Array) -> Array:
    """(V,) distance to the nearest of ``points``."""
    result: Array = np.linalg.norm(vertices[:, None] - points[None], axis=2).min(axis=1)
    return result


def sample_at_vertices(mesh: HeadMesh, texture: NDArray[np.uint8]) -> Array:
    """(V,) value 0..1 of a grey texture at each vertex, the same on both sides."""
    uv = np.zeros((mesh.count, 2))
    uv[mesh.faces.ravel()] = mesh.uv[mesh.uv_faces.ravel()]
    height, width = texture.shape
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    values = texture[rows, columns] / 255.0
    values[mesh.groups != "body"] = 0.0
    result: Array = np.maximum(values, values[mesh.mirror])
    return result


def vertex_neighbours(faces: NDArray[np.int32], count: int) -> list[NDArray[np.int32]]:
    """For each vertex the vertices that share an edge with it."""
    edges = np.concatenate([faces[:, (0, 1)], faces[:, (1, 2)], faces[:, (2, 0)]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    return np.split(edges[:, 1], np.searchsorted(edges[:, 0], np.arange(1, count)))
