"""Annotations of the mesh: parts, bare-skin mask, named regions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head import mediapipe_points as mp
from tools.build_head.selection import HeadMesh

PART_NAMES: Final = ("skin", "eye_left", "eye_right", "teeth", "tongue", "inner_mouth", "eye_socket")
REGION_NAMES: Final = (
    "forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "mouth", "chin",
    "jaw_line", "ear_left", "ear_right", "neck", "scalp",
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


def skin_mask(template: Array, parts: NDArray[np.int8], neighbours: list[NDArray[np.int32]], points: Array) -> Array:
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
    chin = points[152]
    below = np.clip((top - chin[1] + 0.006) / 0.012, 0, 1)
    mask *= below
    for indices in (mp.BROW_LEFT, mp.BROW_RIGHT):
        near = nearest_distance(template, points[list(indices)])
        mask = np.minimum(mask, 0.5 + 0.5 * np.clip((near - 0.005) / 0.006, 0, 1))
    for indices in (mp.EYE_UPPER_LEFT + mp.EYE_LOWER_LEFT, mp.EYE_UPPER_RIGHT + mp.EYE_LOWER_RIGHT):
        near = nearest_distance(template, points[list(indices)])
        mask = np.minimum(mask, np.clip((near - 0.001) / 0.003, 0, 1))
    mask[parts != PART_NAMES.index("skin")] = 0.0
    inner = np.flatnonzero(parts != PART_NAMES.index("skin"))
    for vertex in inner:
        mask[neighbours[vertex]] = np.minimum(mask[neighbours[vertex]], 0.5)
    mask[nostrils(template, points)] = 0.0
    return mask


def nostrils(template: Array, points: Array) -> NDArray[np.bool_]:
    """(V,) vertices inside the nostrils: above the wings' lower border and behind the nose's surface."""
    wings = points[[98, 97, 327, 326, 2]]
    low = wings[:, 1].mean()
    inside: NDArray[np.bool_] = (
        (np.abs(template[:, 0]) < np.abs(points[[98, 327], 0]).mean())
        & (template[:, 1] > low + 0.001)
        & (template[:, 1] < low + 0.02)
        & (template[:, 2] < points[2, 2] + 0.004)
        & (template[:, 2] > points[2, 2] - 0.03)
    )
    return inside


def regions(mesh: HeadMesh, template: Array, parts: NDArray[np.int8], points: Array) -> NDArray[np.bool_]:
    """(V, R) membership; a skin vertex belongs to the region of its nearest landmarks."""
    skin = parts == PART_NAMES.index("skin")
    result = np.zeros((len(template), len(REGION_NAMES)), bool)
    left = template[:, 0] >= 0
    middle = np.abs(template[:, 0]) < 1e-6

    def assign(name: str, member: NDArray[np.bool_]) -> None:
        result[:, REGION_NAMES.index(name)] |= member

    def near(indices: tuple[int, ...], reach: float) -> NDArray[np.bool_]:
        return skin & (nearest_distance(template, points[list(indices)]) < reach)

    face = skin & (template[:, 2] > points[[234, 454], 2].mean() - 0.005) & (template[:, 1] < points[10, 1] + 0.01) & (template[:, 1] > points[152, 1] - 0.01)
    brow_y = points[[105, 334], 1].mean()
    eye_l, eye_r = near(mp.EYE_UPPER_LEFT + mp.EYE_LOWER_LEFT, 0.008), near(mp.EYE_UPPER_RIGHT + mp.EYE_LOWER_RIGHT, 0.008)
    brow_l, brow_r = near(mp.BROW_LEFT, 0.007) & ~eye_l, near(mp.BROW_RIGHT, 0.007) & ~eye_r
    assign("eye_left", eye_l | (parts == PART_NAMES.index("eye_left")))
    assign("eye_right", eye_r | (parts == PART_NAMES.index("eye_right")))
    assign("brow_left", brow_l)
    assign("brow_right", brow_r)
    lips = near(mp.LIPS_OUTER_UPPER + mp.LIPS_OUTER_LOWER + mp.LIPS_INNER_UPPER + mp.LIPS_INNER_LOWER, 0.006)
    assign("mouth", lips | np.isin(parts, [PART_NAMES.index(n) for n in ("teeth", "tongue", "inner_mouth")]))
    nose = near((168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 327, 48, 278, 115, 344, 220, 440, 131, 360, 198, 420, 236, 456), 0.009) & ~lips & ~eye_l & ~eye_r
    assign("nose", nose)
    taken = eye_l | eye_r | brow_l | brow_r | lips | nose
    assign("forehead", face & ~taken & (template[:, 1] > brow_y))
    mouth_y = points[17, 1]
    chin = face & ~taken & (template[:, 1] < mouth_y) & (np.abs(template[:, 0]) < np.abs(points[[61, 291], 0]).mean())
    assign("chin", chin)
    jaw = near(tuple(mp.IBUG_JAW), 0.012) & ~chin & (template[:, 1] < points[[93, 323], 1].mean())
    assign("jaw_line", jaw)
    cheek = face & ~taken & ~chin & (template[:, 1] <= brow_y) & ~jaw
    assign("cheek_left", cheek & (left | middle))
    assign("cheek_right", cheek & (~left | middle))
    neck = skin & ~face & ~jaw & (template[:, 1] < points[152, 1] + 0.004) & (template[:, 1] < -0.05 - 0.4 * template[:, 2])
    assign("neck", neck)
    ear = skin & ~face & ~neck & (np.abs(template[:, 0]) > np.abs(points[[234, 454], 0]).mean() - 0.004) & (np.abs(template[:, 1] + 0.02) < 0.045) & ~jaw
    assign("ear_left", ear & left)
    assign("ear_right", ear & ~left)
    assign("scalp", skin & ~result.any(axis=1))
    return result


def nearest_distance(vertices: Array, points: Array) -> Array:
    """(V,) distance to the nearest of ``points``."""
    result: Array = np.linalg.norm(vertices[:, None] - points[None], axis=2).min(axis=1)
    return result


def vertex_neighbours(faces: NDArray[np.int32], count: int) -> list[NDArray[np.int32]]:
    """For each vertex the vertices that share an edge with it."""
    edges = np.concatenate([faces[:, (0, 1)], faces[:, (1, 2)], faces[:, (2, 0)]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    return np.split(edges[:, 1], np.searchsorted(edges[:, 0], np.arange(1, count)))
