"""Pictures of the head that a landmark network takes for a face: painted skin, soft light, z-buffer (needs numba)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.build_head import eyeball, labels
from tools.build_head import mediapipe_points as mp
from tools.build_head.population_head import HeadGeometry
from tools.build_head.raster import rasterise
from tools.build_head.surface import vertex_normals

Array = NDArray[np.float64]
CHART_PX_PER_M = 4000.0
CHART_HALF_M = 0.16
BROW_LOWERING_M = 0.004
"""How far below the fitted canonical face's brows they are painted. The mesh does not say where brows are; with this the
brows of the head, fitted to landmarks of real faces, have no mean residual."""


@dataclass(frozen=True)
class Portrait:
    """One picture."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    triangle: NDArray[np.int32]
    """(H, W) triangle seen in each pixel, -1 for none."""
    barycentric: Array
    """(H, W, 3)."""


class Painter:
    """Paints the head by where a point lies on the template, seen from the front: brows, hair, lips, irises, lashes."""

    def __init__(self, geometry: HeadGeometry, points: Array, lip_texture: NDArray[np.uint8]) -> None:
        """``points``: (478, 3) landmarks on the template; ``lip_texture``: MakeHuman's lip mask in texture coordinates."""
        self._geometry = geometry
        self._lips = cv2.GaussianBlur(lip_texture, (0, 0), 3)
        brows = [points[list(b)] - [0, BROW_LOWERING_M, 0] for b in (mp.BROW_RIGHT, mp.BROW_LEFT)]
        self._brows = self._chart(brows, grow_m=0.0008, blur_m=0.0012)
        lids = [
            points[[*upper, *reversed(lower)]]
            for upper, lower in ((mp.EYE_UPPER_RIGHT, mp.EYE_LOWER_RIGHT), (mp.EYE_UPPER_LEFT, mp.EYE_LOWER_LEFT))
        ]
        self._lashes = self._chart(lids, grow_m=0.0009, blur_m=0.0005)
        self._hairline = float(points[10, 1])
        self._temple = float(points[[127, 356], 2].mean())
        parts = labels.vertex_parts(geometry.mesh, geometry.template)
        hidden = [labels.PART_NAMES.index(name) for name in ("teeth", "tongue", "inner_mouth", "eye_socket")]
        self._cavity = np.asarray(np.isin(parts[geometry.mesh.faces], hidden).all(axis=1))

    def albedo(self, rest: Array, uv: Array, group: NDArray[np.str_], look: dict[str, Array]) -> Array:
        """(n, 3) albedo at points ``rest`` (n, 3) of the template with texture coordinates ``uv`` (n, 2)."""

        def mix(colour: Array, other: Array, share: Array) -> Array:
            result: Array = colour + share[:, None] * (other - colour)
            return result

        colour = np.broadcast_to(look["skin"], rest.shape).copy()
        size = self._lips.shape[0]
        rows = np.clip(((1 - uv[:, 1]) * size).astype(int), 0, size - 1)
        columns = np.clip((uv[:, 0] * size).astype(int), 0, size - 1)
        colour = mix(colour, look["lips"], 0.8 * self._lips[rows, columns] / 255.0)
        front = rest[:, 2] > -0.03
        colour = mix(colour, look["hair"], 0.75 * self._read(self._brows, rest) * front)
        colour = mix(colour, look["hair"] * 0.5, 0.6 * self._read(self._lashes, rest) * front)
        above = np.clip(
            (rest[:, 1] - self._hairline - 0.006 + 0.25 * np.maximum(self._temple + 0.01 - rest[:, 2], 0)) / 0.004, 0, 1
        )
        behind = np.clip((self._temple - 0.012 - rest[:, 2]) / 0.004, 0, 1) * (rest[:, 1] > -0.01)
        ear = np.abs(rest[:, 0]) > np.interp(rest[:, 1], [-0.03, 0.03], [0.068, 0.075])
        colour = mix(colour, look["hair"], 0.9 * np.maximum(above, behind * ~ear))
        for side, name in enumerate(("eye_left", "eye_right")):
            mask = group == name
            radius = np.hypot(*(rest[mask, :2] - self._geometry.joint_template[3 + side, :2]).T)
            eye = np.full((int(mask.sum()), 3), 0.82) * [1.0, 0.96, 0.95]
            rim = np.clip((eyeball.IRIS_RADIUS_M + 0.0003 - radius) / 0.0006, 0, 1)
            eye = mix(eye, look["iris"], rim)
            eye = mix(eye, np.full(3, 0.03), np.clip((eyeball.PUPIL_RADIUS_M + 0.0003 - radius) / 0.0006, 0, 1))
            colour[mask] = eye
        colour[np.char.find(group, "teeth") >= 0] = [0.8, 0.78, 0.7]
        colour[group == "helper-tongue"] = [0.6, 0.3, 0.3]
        return colour

    def _chart(self, outlines: list[Array], grow_m: float, blur_m: float) -> Array:
        size = int(2 * CHART_HALF_M * CHART_PX_PER_M)
        chart = np.zeros((size, size), np.uint8)
        for outline in outlines:
            hull = (outline[:, :2] + CHART_HALF_M) * CHART_PX_PER_M
            cv2.fillPoly(chart, [np.round(hull).astype(np.int32)], 255)
        grow = 2 * int(grow_m * CHART_PX_PER_M) + 1
        grown = cv2.dilate(chart, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow)))
        blurred = cv2.GaussianBlur(np.asarray(grown, np.float64) / 255, (0, 0), blur_m * CHART_PX_PER_M)
        return np.asarray(blurred, np.float64)

    def _read(self, chart: Array, rest: Array) -> Array:
        at = np.clip(((rest[:, :2] + CHART_HALF_M) * CHART_PX_PER_M).astype(int), 0, len(chart) - 1)
        values: Array = chart[at[:, 1], at[:, 0]]
        return values

    def paint(
        self,
        shape: Array,
        rotation: Array,
        translation: Array,
        focal_px: float,
        size: tuple[int, int],
        look: dict[str, Array],
    ) -> Portrait:
        """A picture of ``shape`` (V, 3) under the pose; ``look`` as from ``random_look``."""
        geometry, mesh = self._geometry, self._geometry.mesh
        camera = shape @ rotation.T + translation
        triangle, barycentric = rasterise(camera, mesh.faces, focal_px, size)
        hit = np.asarray(triangle >= 0)
        faces, share = triangle[hit], barycentric[hit][:, :, None]
        corners = mesh.faces[faces]
        rest = (share * geometry.template[corners]).sum(1)
        uv = (share * mesh.uv[mesh.uv_faces[faces]]).sum(1)
        normal = (share * vertex_normals(camera, mesh.faces)[corners]).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        group = mesh.groups[corners[:, 0]]
        view = -(share * camera[corners]).sum(1)
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        half = view + look["light"]
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        diffuse = 0.35 + 0.1 * -normal[:, 1] + 0.65 * np.clip(normal @ look["light"], 0, 1)
        gloss = np.clip((normal * half).sum(1), 0, 1)
        eye = np.isin(group, ("eye_left", "eye_right"))
        shine = np.where(eye, 0.5 * gloss**80, 0.06 * gloss**12)
        # Cavities see little of the sky.
        cavity = self._cavity[faces]
        colour = (
            self.albedo(rest, uv, group, look) * np.where(cavity, 0.35 * diffuse, diffuse)[:, None] + shine[:, None]
        )
        linear = np.broadcast_to(look["background"], (*hit.shape, 3)).copy()
        linear[hit] = colour
        image = np.clip(np.asarray(cv2.GaussianBlur(linear, (0, 0), 0.6), np.float64), 0, 1) ** (1 / 2.2)
        image += look["grain"] * np.random.default_rng(int(look["seed"])).standard_normal(image.shape)
        return Portrait((np.clip(image, 0, 1) * 255).astype(np.uint8), triangle, barycentric)
