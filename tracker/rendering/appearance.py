"""Skin, light and occlusion of a face drawn for the eye (docs/appearance.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.lamps import Light
from tracker.appearance.light import shade
from tracker.appearance.mesh import SkinOnMesh
from tracker.appearance.points import SkinPoints
from tracker.appearance.shadows import shadow_transfer, turned
from tracker.appearance.texture import albedo_uv
from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.rendering import paint
from tracker.rendering.lightprobe import ball, environment
from tracker.rendering.paint import Image
from tracker.rendering.rasterizer import Raster, rasterize
from tracker.rendering.shading import NormalField, smoothstep
from tracker.rotations import matrix_from_rotvec
from tracker.srgb import LINEAR, to_codes
from tracker.types import Face, FaceParams, Illumination

Float32 = NDArray[np.float32]

AppearanceWhat = Literal["albedo", "light", "shading", "occlusion"]
APPEARANCE: Final[tuple[AppearanceWhat, ...]] = get_args(AppearanceWhat)

_GREY: Final = 0.40
"""Reflectance of the clay that shading is shown on."""
_DIM: Final = 0.45
_CLEAR: Final = np.array([70.0, 120.0, 190.0], np.float32)
_HEAT: Final = np.array([[255, 214, 64], [255, 120, 30], [230, 20, 40]], np.float32)
_LEAST_IRRADIANCE: Final = 0.12
"""Of the mean: darker than that the harmonics undershoot, and a ratio would shoot up."""
_RATIO_RANGE: Final = (0.12, 4.0)
_BLUR: Final = 0.008
"""Standard deviation over the head's width by which changes of light are smoothed: the mesh has facets."""
_SHOULDER: Final = 0.75
"""Linear light from which relit colours are bent towards white."""
_TEXT: Final = (240, 246, 250)
_INK: Final = (12, 16, 24)
_MAP_SHARE: Final = 0.40
_MAP_SIZE: Final = 1024
"""Of the whole texture, of which the face is a part."""
_FADES_M: Final = (0.006, 0.035)
"""Relighting fades out over so far from the skin that is estimated."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face as the pixels of one picture see it; N covered ones."""

    raster: Raster
    normals: Float32
    """(3, N) unit, camera axes."""
    shadow: Float32
    """(9, N) what the head's own shadows take from the light's terms, camera axes."""
    skin: Float32
    """(N,) 1 on the skin that is estimated, 0 elsewhere."""
    head: Float32
    """(N,) 1 on the face with its eyes and mouth, falling to 0 over hair and neck."""


class AppearanceView:
    """Draws appearance of faces given in the parameters of one face model, on pictures of any size.

    Args:
        model: the face model that the faces were fitted with.
        points: its skin points.
    """

    def __init__(self, model: FaceModel, points: SkinPoints) -> None:
        self._model = model
        self._points = points
        self._mesh = SkinOnMesh(model, points)
        self._normals = NormalField(model.faces, model.vertex_count)
        self._shadow = shadow_transfer(model.template, self._normals(model.template), model.template)
        self._head = _head_opacity(model, self._mesh.distance_m)
        self._maps: dict[int, tuple[int, Image]] = {}
        self._last: dict[int, tuple[FaceParams, Camera, _Seen | None]] = {}
        self._map_part = _square_around(points.uv)

    def draw(self, what: AppearanceWhat, image: Image, camera: Camera, faces: Sequence[Face]) -> Image:
        """A copy of ``image`` (H, W, 3) with what is known about ``faces``, which ``camera`` saw (at any scale of the image)."""
        if what == "light":
            return self._light(image, faces)
        out = image.copy()
        if what in ("albedo", "shading"):
            out = _dimmed(image)
        for face, view in _by_depth(image, camera, faces):
            seen = self._see(face, view)
            if seen is None:
                continue
            if what == "albedo":
                self._albedo(out, seen, face)
            elif what == "shading" and face.light is not None:
                _cover(out, seen, _GREY * shade(seen.normals, face.light.sh, seen.shadow), seen.skin)
            elif what == "occlusion" and face.occlusion is not None and len(face.occlusion.points):
                self._occlusion(out, seen, face)
        return out

    def relit(self, image: Image, camera: Camera, faces: Sequence[Face], light: Light, time_s: float) -> Image:
        """A copy of ``image`` with ``faces`` under another light: each pixel times new over old shading, in linear light.

        What covers the face, and faces whose light is not known, stay as they are.
        """
        out = image.copy()
        for face, view in _by_depth(image, camera, faces):
            seen = None if face.light is None else self._see(face, view)
            if seen is None or face.light is None:
                continue
            old, new = (shade(seen.normals, sh, seen.shadow) for sh in (face.light.sh, light(face.light, time_s)))
            ratio = np.log(np.clip(_at_least(new) / _at_least(old), *_RATIO_RANGE))
            opacity = seen.head
            if face.occlusion is not None and len(face.occlusion.points):
                opacity = opacity * (1.0 - self._covered(seen, face))
            _multiply(out, seen.raster, ratio, opacity)
        return out

    def albedo_map(self, face: Face) -> Image | None:
        """The face's part of its albedo as a texture, sRGB; None when it is not known or the model has no texture."""
        if face.albedo is None or not len(self._model.uv):
            return None
        known = self._maps.get(face.id)
        if known is None or known[0] != face.albedo.version:
            texture, _ = albedo_uv(self._model, self._points, face.albedo, _MAP_SIZE)
            known = face.albedo.version, to_codes(texture[self._map_part])
            self._maps[face.id] = known
        return known[1]

    def _see(self, face: Face, camera: Camera) -> _Seen | None:
        """The face in the picture; the last one of each face is kept, since a frame is drawn in several ways."""
        last = self._last.get(face.id)
        if last is None or last[0] is not face.params or last[1] != camera:
            last = face.params, camera, self._look(face, camera)
            self._last[face.id] = last
        return last[2]

    def _look(self, face: Face, camera: Camera) -> _Seen | None:
        vertices = self._model.vertices_camera(face.identity, face.params)
        if not np.isfinite(vertices).all() or vertices[:, 2].min() < 0.01:
            return None
        raster = rasterize(camera.project(vertices), vertices[:, 2], self._model.faces, camera.width, camera.height)
        if not len(raster.pixel):
            return None
        normals = self._normals(vertices)
        facing = -(normals * vertices).sum(axis=1) / np.linalg.norm(vertices, axis=1)
        turn = matrix_from_rotvec(face.params.rotation).astype(np.float32)
        shadow = turned(self._shadow, turn)
        values = raster.interpolate(np.column_stack([normals, facing, self._mesh.known, self._head, shadow.T]))
        unit = values[:, :3] / np.maximum(np.linalg.norm(values[:, :3], axis=1, keepdims=True), 1e-6)
        rim = smoothstep(0.05, 0.35, values[:, 3])
        return _Seen(
            raster=raster,
            normals=np.ascontiguousarray(unit.T),
            shadow=np.ascontiguousarray(values[:, 6:].T),
            skin=values[:, 4] * rim,
            head=values[:, 5] * rim,
        )

    def _albedo(self, image: Image, seen: _Seen, face: Face) -> None:
        if face.albedo is None:
            return
        _cover(image, seen, seen.raster.interpolate(self._mesh.spread(face.albedo.points)), seen.skin)

    def _covered(self, seen: _Seen, face: Face) -> Float32:
        assert face.occlusion is not None
        at_vertices = self._mesh.spread(face.occlusion.points[:, None])
        covered: Float32 = np.clip(seen.raster.interpolate(at_vertices)[:, 0], 0.0, 1.0)
        return covered

    def _occlusion(self, image: Image, seen: _Seen, face: Face) -> None:
        covered = self._covered(seen, face)
        place = np.clip((covered - 0.15) / 0.85, 0.0, 1.0) * (len(_HEAT) - 1)
        low = np.minimum(place.astype(np.intp), len(_HEAT) - 2)
        heat = _HEAT[low] + (_HEAT[low + 1] - _HEAT[low]) * (place - low)[:, None]
        hot = smoothstep(0.1, 0.4, covered)[:, None]
        colour = _CLEAR + (heat - _CLEAR) * hot
        opacity = (0.22 + 0.48 * hot) * seen.skin[:, None]
        flat = image.reshape(-1, 3)
        under = flat[seen.raster.pixel]
        flat[seen.raster.pixel] = np.clip(under + (colour - under) * opacity, 0.0, 255.0).astype(np.uint8)

    def inset_map(self, image: Image, faces: Sequence[Face]) -> None:
        """Draw the albedo texture of the largest face into the lower right corner."""
        side = int(_MAP_SHARE * min(image.shape[:2]))
        tracked = max(faces, key=lambda face: float(face.box[2]), default=None)
        texture = None if tracked is None else self.albedo_map(tracked)
        if texture is None or side < 32:
            return
        margin = side // 16
        place = image[-side - margin : -margin, -side - margin : -margin]
        place[:] = cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA)

    def _light(self, image: Image, faces: Sequence[Face]) -> Image:
        out = _dimmed(image)
        lit = [face for face in faces if face.light is not None]
        height, width = out.shape[:2]
        size = min(15.0, max(8.0, height / 40.0))
        if not lit:
            paint.pill(out, "no light known", size, size * 3.5, size, _TEXT, _INK)
            return out
        light = max(lit, key=lambda face: float(face.box[2])).light
        assert light is not None
        side = int(min(0.62 * height, 0.36 * width))
        top = (height - side) // 2
        ball(light.sh, out[top : top + side, int(0.06 * width) : int(0.06 * width) + side])
        columns, rows = int(0.46 * width), int(0.23 * width)
        left, upper = int(0.48 * width), (height - rows) // 2
        out[upper : upper + rows, left : left + columns] = environment(light.sh, columns, rows)
        paint.pill(out, "grey ball", 0.06 * width, top + side + size, size, _TEXT, _INK)
        paint.pill(out, "unrolled", left, upper + rows + size, size, _TEXT, _INK)
        paint.pill(out, _in_words(light), left, upper - 3.6 * size, size, _TEXT, _INK)
        return out


def _in_words(light: Illumination) -> str:
    red, _, blue = (float(value) for value in light.white_balance)
    return f"exposure {light.exposure:.2f}   red/blue {red / max(blue, 1e-6):.2f}"


def _by_depth(image: Image, camera: Camera, faces: Sequence[Face]) -> list[tuple[Face, Camera]]:
    """The faces, the nearest last, each with the camera of ``image``."""
    height, width = image.shape[:2]
    scale = width / camera.width
    view = Camera(width, height, camera.focal_px * scale, camera.cx * scale, camera.cy * scale)
    return [(face, view) for face in sorted(faces, key=lambda face: -float(face.params.translation[2]))]


def _head_opacity(model: FaceModel, distance_m: Float32) -> Float32:
    """(V,) where a head is relit: the face, fading over hair and neck; ears and hair need not be where the model has them."""
    opacity = 1.0 - smoothstep(*_FADES_M, distance_m)
    ears = [index for index, name in enumerate(model.region_names) if name.startswith("ear")]
    if ears:
        opacity = opacity * ~model.regions[:, ears].any(axis=1)
    return opacity.astype(np.float32)


def _square_around(uv: Float32) -> tuple[slice, slice]:
    """Rows and columns of a texture of ``_MAP_SIZE`` that hold nearly all of the points (P, 2), as a square."""
    low, high = np.percentile(uv, [1.5, 98.5], axis=0)
    middle, half = (low + high) / 2.0, float((high - low).max()) * 0.56
    left, top = (max(0, int((value - half) * _MAP_SIZE)) for value in (middle[0], 1.0 - middle[1]))
    side = int(2.0 * half * _MAP_SIZE) + 1
    return slice(top, top + side), slice(left, left + side)


def _dimmed(image: Image) -> Image:
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((grey * _DIM)[..., None], 3, axis=2).astype(np.uint8)


def _cover(image: Image, seen: _Seen, linear: Float32, opacity: Float32) -> None:
    flat = image.reshape(-1, 3)
    under = flat[seen.raster.pixel].astype(np.float32)
    over = to_codes(linear).astype(np.float32)
    flat[seen.raster.pixel] = np.clip(under + (over - under) * opacity[:, None] + 0.5, 0.0, 255.0).astype(np.uint8)


def _at_least(irradiance: Float32) -> Float32:
    floor = np.maximum(irradiance.mean(axis=0) * np.float32(_LEAST_IRRADIANCE), np.float32(1e-4))
    # A soft maximum: a hard one would draw a line over the face.
    floored: Float32 = np.sqrt(np.square(np.maximum(irradiance, 0.0)) + np.square(floor))
    return floored


def _multiply(image: Image, raster: Raster, log_ratio: Float32, opacity: Float32) -> None:
    """Multiply linear light by ``exp(opacity * log_ratio)``, (N, 3) and (N,), smoothed."""
    height, width = image.shape[:2]
    row, column = np.divmod(raster.pixel, width)
    blur_px = _BLUR * float(np.ptp(column))
    margin = int(4 * blur_px) + 2
    top, bottom = max(int(row.min()) - margin, 0), min(int(row.max()) + margin + 1, height)
    left, right = max(int(column.min()) - margin, 0), min(int(column.max()) + margin + 1, width)
    field = np.zeros((bottom - top, right - left, 3), np.float32)
    field[row - top, column - left] = log_ratio * opacity[:, None]
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), max(blur_px, 0.5)), np.float32)
    part = image[top:bottom, left:right]
    linear = LINEAR[part]
    lit = linear * np.exp(field)
    # What was white already stays so; what becomes brighter than the knee approaches white.
    knee = np.maximum(linear, np.float32(_SHOULDER))
    room = np.maximum(1.0 - knee, np.float32(1e-4))
    bent = knee + room * (1.0 - np.exp(-np.maximum(lit - knee, 0.0) / room))
    part[:] = to_codes(np.where(lit > knee, bent, lit))
