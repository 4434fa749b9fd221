"""Soft light on heads: a bright environment, seen by each vertex past the rest of the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.directions import even_directions
from tracker.face_model.model import FaceModel
from tracker.rendering.rasterizer import inverse_depth

Float32 = NDArray[np.float32]
Rgb = tuple[float, float, float]

_DIRECTIONS: Final = 40
_SHADOW_PX: Final = 112
_SHADOW_BIAS_M: Final = 0.003
_WRAP: Final = np.array([0.30, 0.14, 0.08], np.float32)
"""Light bleeds past the terminator through skin, red the farthest."""


@dataclass(frozen=True, slots=True)
class Light:
    """An environment in camera axes (x right, y down, z forward): light from all around and one soft lamp."""

    ambient: Rgb = (0.46, 0.48, 0.52)
    """Linear RGB radiance from all around; above brighter than below."""
    lamp: Rgb = (2.3, 2.15, 1.95)
    direction: tuple[float, float, float] = (-0.45, -0.55, -0.70)
    """From the face towards the lamp; (0, 0, -1) is a lamp at the camera."""
    softness: float = 5.0
    """Exponent of the lamp's lobe: 1 an overcast sky, 30 a bare bulb."""

    def radiance(self, towards: Float32) -> Float32:
        """Linear RGB (D, 3) arriving from unit directions (D, 3) in camera axes."""
        axis = np.asarray(self.direction, np.float32)
        axis = axis / np.linalg.norm(axis)
        lobe = np.clip(towards @ axis, 0.0, 1.0) ** self.softness
        sky = 1.0 - 0.35 * towards[:, 1:2]
        radiance: Float32 = sky * np.asarray(self.ambient, np.float32) + lobe[:, None] * np.asarray(
            self.lamp, np.float32
        )
        return radiance


class HeadLighting:
    """Irradiance at the vertices of one face model, with the shadows of its relaxed mean shape."""

    def __init__(self, model: FaceModel) -> None:
        self._directions = even_directions(_DIRECTIONS).astype(np.float32)
        self._visible = sky_visibility(model, self._directions)
        floor = np.zeros(model.vertex_count, np.float32)
        dim = {"inner_mouth": 0.10, "tongue": 0.22, "teeth": 0.36, "eye_left": 0.35, "eye_right": 0.35}
        for index, name in enumerate(model.part_names):
            floor[model.parts == index] = dim.get(name, 0.0)
        # The mouth was shut when visibility was found; what an open one shows gets some light from everywhere.
        self._visible = np.maximum(self._visible, floor[:, None])

    def __call__(self, normals_head: Float32, rotation: Float32, light: Light) -> Float32:
        """Irradiance over pi, (V, 3) linear RGB: a white surface in even light of radiance 1 gets 1.

        Args:
            normals_head: (V, 3) unit normals in head axes.
            rotation: (3, 3) head axes to camera axes.
            light: the environment.
        """
        radiance = light.radiance(self._directions @ rotation.T)
        cosine = normals_head @ self._directions.T
        out = np.empty((len(normals_head), 3), np.float32)
        for channel in range(3):
            wrap = _WRAP[channel]
            weight = np.clip((cosine + wrap) / (1.0 + wrap), 0.0, None) * self._visible
            out[:, channel] = weight @ radiance[:, channel]
        # Solid angle per direction over pi, and the wrapped cosine's own integral, pi (1 + wrap).
        out *= 4.0 / _DIRECTIONS / (1.0 + _WRAP)
        return out


def sky_visibility(model: FaceModel, directions: Float32) -> Float32:
    """How much of the sky in each direction the vertices of the template see, (V, D) in 0..1: shadow maps."""
    vertices = model.template
    extent = float(np.linalg.norm(np.ptp(vertices, axis=0))) * 0.55
    middle = (vertices.max(axis=0) + vertices.min(axis=0)) / 2.0
    out = np.empty((len(vertices), len(directions)), np.float32)
    for column, towards in enumerate(directions):
        helper = np.array([0.0, 1.0, 0.0]) if abs(towards[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        right = np.cross(helper, towards)
        right /= np.linalg.norm(right)
        basis = np.stack([right, np.cross(towards, right), -towards]).astype(np.float32)
        local = (vertices - middle) @ basis.T
        pixel = (local[:, :2] / extent + 1.0) * (_SHADOW_PX / 2.0)
        # An orthographic view: 1/z must be linear on the screen, so hand over the depth's reciprocal.
        far = 2.0 * extent - local[:, 2]
        buffer = inverse_depth(pixel, 1.0 / far, model.faces, _SHADOW_PX, _SHADOW_PX)
        corner = np.clip(np.floor(pixel - 0.5).astype(np.intp), 0, _SHADOW_PX - 2)
        fraction = np.clip(pixel - 0.5 - corner, 0.0, 1.0)
        lit = np.zeros(len(vertices), np.float32)
        for dx in (0, 1):
            for dy in (0, 1):
                weight = np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
                lit += weight * (far + _SHADOW_BIAS_M >= buffer[corner[:, 1] + dy, corner[:, 0] + dx])
        out[:, column] = lit
    return _smoothed(model, out)


def _smoothed(model: FaceModel, values: Float32) -> Float32:
    """Average over neighbours twice: shadow maps are coarse."""
    ends = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    order = np.argsort(ends[:, 0], kind="stable")
    start, neighbour = ends[order, 0], ends[order, 1]
    first = np.searchsorted(start, np.arange(model.vertex_count))
    degree = np.bincount(start, minlength=model.vertex_count)
    has = degree > 0
    for _ in range(2):
        sums = np.zeros_like(values)
        sums[has] = np.add.reduceat(values[neighbour], first[has], axis=0)
        values = np.where(has[:, None], 0.5 * values + 0.5 * sums / np.maximum(degree, 1)[:, None], values)
    return values.astype(np.float32)
