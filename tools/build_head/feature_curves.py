"""Lid margins and lip contours of the head as curves in space, traced on a high-resolution frontal picture of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.build_head import labels
from tools.build_head.population_head import HeadGeometry
from tools.build_head.raster import rasterise
from tools.build_head.reference import pose
from tools.build_head.selection import EYE_GROUPS

SIZE_PX = 1600
DISTANCE_M = 20.0
"""So far away that the picture is nearly orthographic."""
MOUTH_OPENING = 0.35
"""Weight of jawOpen under which the inner lip contour is traced."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureCurves:
    """Polylines (n, 3) on the template, metres: the left eye's lids from inner to outer corner, lips from right to left."""

    lid_upper: Array
    lid_lower: Array
    lip_outer_upper: Array
    lip_outer_lower: Array
    lip_inner_upper: Array
    lip_inner_lower: Array


def trace_curves(geometry: HeadGeometry, lip_texture: NDArray[np.uint8]) -> FeatureCurves:
    """Trace the curves.

    Args:
        lip_texture: (H, W) MakeHuman's lip mask in texture coordinates.
    """
    mesh, template = geometry.mesh, geometry.template
    parts = labels.vertex_parts(mesh, template)
    skin = (parts[mesh.faces] == labels.PART_NAMES.index("skin")).any(axis=1)
    eye = np.isin(mesh.groups[mesh.faces[:, 0]], EYE_GROUPS)
    eye_middle = geometry.joint_template[3]

    picture = _Picture(template, template, mesh.faces, eye_middle[:2], 0.03)
    opening = picture.where(eye)
    lids = [_smooth(picture.border(opening, skin, upper), 15) for upper in (True, False)]
    inner = (lids[0][0] + lids[1][0]) / 2
    outer = (lids[0][-1] + lids[1][-1]) / 2
    # The skin's corners lie a little beyond the last visible bit of eyeball.
    inner[0] -= 0.0008
    outer[0] += 0.0005
    lids = [np.concatenate([inner[None], lid, outer[None]]) for lid in lids]

    mouth_y = float(template[parts == labels.PART_NAMES.index("teeth"), 1].mean())
    opened = pose(geometry, {"jawOpen": MOUTH_OPENING})
    picture = _Picture(opened, template, mesh.faces, np.array([0.0, mouth_y]), 0.05)
    cavity = _largest(picture.where(~skin & ~eye))
    inner_lips = [_symmetric(_smooth(picture.border(cavity, skin, upper), 7)) for upper in (True, False)]

    picture = _Picture(template, template, mesh.faces, np.array([0.0, mouth_y]), 0.05)
    red = picture.sample_texture(lip_texture, mesh.uv, mesh.uv_faces) * picture.where(skin) > 0.5
    red = _largest(cv2.morphologyEx(red.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8)) > 0)
    outer_lips = [_symmetric(_smooth(picture.border(red, skin, upper), 7)) for upper in (True, False)]
    return FeatureCurves(*lids, *_with_corners(outer_lips), *_with_corners(inner_lips))


def along(curve: Array, count: int) -> Array:
    """(count, 3) points at equal arc length."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    return resample(curve, np.linspace(0, length[-1], count))


def resample(curve: Array, at: Array) -> Array:
    """(len(at), 3) points at the given arc lengths, metres."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    return np.stack([np.interp(at, length, curve[:, i]) for i in range(3)], axis=1)


class _Picture:
    """What a far camera sees of ``shape``; points are reported on ``reference`` (same triangles)."""

    def __init__(
        self, shape: Array, reference: Array, faces: NDArray[np.int32], centre: Array, half_width_m: float
    ) -> None:
        camera = (shape - [centre[0], centre[1], 0]) * [1, -1, -1] + [0, 0, DISTANCE_M]
        focal = SIZE_PX / 2 / half_width_m * DISTANCE_M
        self.triangle, self.barycentric = rasterise(camera, faces, focal, (SIZE_PX, SIZE_PX))
        self._reference, self._faces = reference, faces

    def where(self, triangles: NDArray[np.bool_]) -> NDArray[np.bool_]:
        hit: NDArray[np.bool_] = (self.triangle >= 0) & triangles[self.triangle]
        return hit

    def border(self, mask: NDArray[np.bool_], allowed: NDArray[np.bool_], upper: bool) -> Array:
        """Points just above or below ``mask``, column by column."""
        points = []
        for x in np.flatnonzero(mask.any(axis=0)):
            rows = np.flatnonzero(mask[:, x])
            y = rows[0] - 1 if upper else rows[-1] + 1
            triangle = self.triangle[y, x]
            if triangle >= 0 and allowed[triangle]:
                points.append(self.barycentric[y, x] @ self._reference[self._faces[triangle]])
        return np.array(points)

    def sample_texture(self, texture: NDArray[np.uint8], uv: NDArray[np.float32], uv_faces: NDArray[np.int32]) -> Array:
        at = np.einsum("yxk,yxki->yxi", self.barycentric, uv[uv_faces[self.triangle]])
        height, width = texture.shape
        rows = np.clip(((1 - at[..., 1]) * height).astype(int), 0, height - 1)
        columns = np.clip((at[..., 0] * width).astype(int), 0, width - 1)
        values: Array = texture[rows, columns] / 255.0
        return values


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    _count, label, stats, _centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    result: NDArray[np.bool_] = label == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    return result


def _smooth(curve: Array, half_width: int) -> Array:
    window = np.hanning(2 * half_width + 1)
    window /= window.sum()
    padded = np.concatenate([curve[:1].repeat(half_width, 0), curve, curve[-1:].repeat(half_width, 0)])
    return np.stack([np.convolve(padded[:, i], window, "valid") for i in range(3)], axis=1)


def _symmetric(curve: Array) -> Array:
    even = along(curve, 201)
    result: Array = (even + even[::-1] * [-1, 1, 1]) / 2
    return result


def _with_corners(pair: list[Array]) -> list[Array]:
    right, left = (pair[0][0] + pair[1][0]) / 2, (pair[0][-1] + pair[1][-1]) / 2
    return [np.concatenate([right[None], curve, left[None]]) for curve in pair]
