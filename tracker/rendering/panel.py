"""Pictures that tell what was tracked at one glance: the frame, the overlay, the head from the side, the expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.rendering import paint
from tracker.rendering.overlay import Overlay
from tracker.rendering.paint import Colour, Image
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField
from tracker.rendering.tiles import Tiles
from tracker.types import Face

Float32 = NDArray[np.float32]

_GROUND: Final[Colour] = (18, 22, 30)
_TEXT: Final[Colour] = (228, 236, 242)
_MUTED: Final[Colour] = (130, 142, 156)
_TRACK: Final[Colour] = (40, 48, 60)
_BAR_LEFT: Final[Colour] = (96, 214, 255)
_BAR_RIGHT: Final[Colour] = (255, 150, 120)
_BAR_MIDDLE: Final[Colour] = (150, 235, 150)

_BARS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("browInnerUp", ("browInnerUp",)),
    ("browOuterUp", ("browOuterUpLeft", "browOuterUpRight")),
    ("browDown", ("browDownLeft", "browDownRight")),
    ("eyeBlink", ("eyeBlinkLeft", "eyeBlinkRight")),
    ("eyeWide", ("eyeWideLeft", "eyeWideRight")),
    ("eyeLookOut", ("eyeLookOutLeft", "eyeLookOutRight")),
    ("cheekSquint", ("cheekSquintLeft", "cheekSquintRight")),
    ("noseSneer", ("noseSneerLeft", "noseSneerRight")),
    ("jawOpen", ("jawOpen",)),
    ("mouthClose", ("mouthClose",)),
    ("mouthSmile", ("mouthSmileLeft", "mouthSmileRight")),
    ("mouthStretch", ("mouthStretchLeft", "mouthStretchRight")),
    ("mouthUpperUp", ("mouthUpperUpLeft", "mouthUpperUpRight")),
    ("mouthLowerDown", ("mouthLowerDownLeft", "mouthLowerDownRight")),
    ("mouthFunnel", ("mouthFunnel",)),
    ("mouthPucker", ("mouthPucker",)),
)
"""The rows of the bar chart: what a face does most, left and right in one row."""

_COLUMNS: Final = 4
_CLAY: Final = np.array([0.86, 0.87, 0.90], np.float32)
_KEY_LIGHT: Final = np.array([0.55, -0.50, -0.67], np.float32)
_RIM_LIGHT: Final = np.array([-0.85, -0.25, 0.45], np.float32)


class HeadView:
    """Renders the head alone as clay, from any side."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model
        self._normals = NormalField(model.faces, model.vertex_count)
        self._albedo = _clay_albedo(model)

    def render(self, identity: Float32, face: Face, width: int, height: int, yaw: float = np.pi / 2) -> Image:
        """The head of ``face`` with its expression, (height, width, 3) RGB, turned ``yaw`` radians away from the viewer.

        Positive yaw shows the subject's right side. Size and place in the picture do not depend on the head's pose.
        """
        scale = 2
        vertices = self._model.vertices_head(identity, replace(face.params, neck=np.zeros(3, np.float32)))
        turn = np.array(
            [[np.cos(yaw), 0.0, np.sin(yaw)], [0.0, 1.0, 0.0], [-np.sin(yaw), 0.0, np.cos(yaw)]], np.float32
        )
        bounds = self._model.template
        middle = (bounds.max(axis=0) + bounds.min(axis=0)) / 2.0
        extent = np.ptp(bounds, axis=0)
        upright = (vertices - middle) @ turn.T * np.array([1.0, -1.0, -1.0], np.float32)
        distance = 1.2
        fit = min(height / extent[1], width / extent[2]) * 0.88
        camera = Camera(width * scale, height * scale, fit * distance * scale, width * scale / 2, height * scale / 2)
        in_camera = upright + np.array([0.0, 0.0, distance], np.float32)
        raster = rasterize(camera.project(in_camera), in_camera[:, 2], self._model.faces, camera.width, camera.height)
        normals = self._normals(in_camera)
        values = raster.interpolate(np.concatenate([normals, self._albedo[:, None]], axis=1))
        normal, albedo = values[:, :3], values[:, 3]
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        key = np.clip(normal @ _KEY_LIGHT, 0.0, 1.0)
        rim = np.clip(normal @ _RIM_LIGHT, 0.0, 1.0)
        shade = (0.16 + 0.62 * key)[:, None] * _CLAY + 0.25 * rim[:, None] * np.array([0.55, 0.8, 1.0], np.float32)
        shade = shade * albedo[:, None] + 0.18 * key[:, None] ** 16
        canvas = np.empty((camera.height * camera.width, 3), np.float32)
        canvas[:] = np.array(_GROUND, np.float32) / 255.0
        # The mesh ends in an open neck: let it sink into the ground.
        row = raster.pixel // camera.width
        foot = float(camera.project(in_camera)[:, 1].max())
        solid = np.clip((foot - row) / (0.16 * camera.height), 0.0, 1.0)[:, None]
        canvas[raster.pixel] += (np.clip(shade, 0.0, 1.0) - canvas[raster.pixel]) * solid
        small = cv2.resize(
            canvas.reshape(camera.height, camera.width, 3), (width, height), interpolation=cv2.INTER_AREA
        )
        picture: Image = (small * 255.0 + 0.5).astype(np.uint8)
        return picture


def expression_bars(arkit: Float32, width: int, height: int) -> Image:
    """A bar chart (height, width, 3) of the main ARKit weights (52,), left and right of the face in two colours."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = _GROUND
    capital = min(11.0, height / 44.0)
    pad = 1.5 * capital
    label_width = max(paint.text_size(name, capital)[0] for name, _ in _BARS) + capital
    x0, x1 = pad + label_width, width - pad
    top = pad
    row = (height - top - pad) / len(_BARS)
    for index, (name, members) in enumerate(_BARS):
        y = top + index * row
        weights = [float(np.clip(arkit[ARKIT_INDEX[member]], 0.0, 1.0)) for member in members]
        colour = _TEXT if max(weights) > 0.1 else _MUTED
        paint.text(image, name, pad, y + row / 2 + capital / 2, capital, colour)
        thick = row * (0.46 if len(members) == 1 else 0.27)
        for member, weight in enumerate(weights):
            bar_colour = _BAR_MIDDLE if len(members) == 1 else (_BAR_LEFT, _BAR_RIGHT)[member]
            gap = (row - thick * len(members) - 0.06 * row * (len(members) - 1)) / 2
            y_bar = y + gap + member * (thick + 0.06 * row)
            paint.rounded_box(image, x0, y_bar, x1 - x0, thick, thick / 2, _TRACK)
            filled = (x1 - x0) * weight
            if filled >= 1.0:
                paint.rounded_box(image, x0, y_bar, filled, thick, thick / 2, bar_colour)
    return image


def portrait(
    image: Image, camera: Camera, face: Face, model: FaceModel, width: int, height: int
) -> tuple[Image, Camera, Face]:
    """Crop and scale a frame to ``width`` x ``height`` around a face, with its camera and the face in the new pixels."""
    vertices = camera.project(model.vertices_camera(face.identity, face.params))
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle = (low + high) / 2.0
    reach = float((high - low).max()) * 1.18
    reach = min(reach, float(image.shape[0]) * height / max(width, height) * 1.0, float(image.shape[1]))
    crop_height = reach
    crop_width = reach * width / height
    if crop_width > image.shape[1]:
        crop_width, crop_height = float(image.shape[1]), image.shape[1] * height / width
    x0 = float(np.clip(middle[0] - crop_width / 2, 0.0, image.shape[1] - crop_width))
    y0 = float(np.clip(middle[1] - crop_height / 2, 0.0, max(0.0, image.shape[0] - crop_height)))
    scale = width / crop_width
    # OpenCV counts pixel centres as integers.
    affine = np.array([[scale, 0.0, -scale * x0 + 0.5 * scale - 0.5], [0.0, scale, -scale * y0 + 0.5 * scale - 0.5]])
    interpolation = cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_AREA
    picture = cv2.warpAffine(image, affine, (width, height), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
    view = Camera(width, height, camera.focal_px * scale, (camera.cx - x0) * scale, (camera.cy - y0) * scale)
    points = face.landmarks.points.copy()
    if len(points):
        points[:, :2] = (points[:, :2] - np.array([x0, y0], np.float32)) * np.float32(scale)
    landmarks = replace(face.landmarks, points=points, sigma=face.landmarks.sigma * np.float32(scale))
    return np.asarray(picture, np.uint8), view, replace(face, landmarks=landmarks)


def picture(
    image: Image, camera: Camera, face: Face, model: FaceModel, overlay: Overlay, height: int = 560, footer: str = ""
) -> Image:
    """The panel: original, overlay, head from the side, expression bars, side by side; RGB, ``height`` pixels high."""
    gap = max(4, height // 80)
    title = max(24, height // 16)
    inner = height - 2 * gap - title
    crop, view, local = portrait(image, camera, face, model, inner, inner)
    drawn = overlay.draw(crop, view, [local], footer)
    side = HeadView(model).render(face.identity, face, round(inner * 0.68), inner)
    bars = expression_bars(face.arkit, round(inner * 0.62), inner)
    row = _row([("video", crop), ("tracked", drawn), ("from the side", side), ("expression", bars)], gap, title)
    _legend(row, row.shape[1] - gap, gap + 0.66 * title, 0.30 * title)
    return row


def _legend(image: Image, right: float, baseline: float, capital: float) -> None:
    """Which colour is which side of the face, right-aligned."""
    x = right
    for name, colour in (("right", _BAR_RIGHT), ("left", _BAR_LEFT)):
        x -= paint.text_size(name, capital)[0] + capital
        paint.text(image, name, x, baseline, capital, _MUTED)
        x -= 1.4 * capital
        paint.rounded_box(image, x, baseline - 0.85 * capital, 0.9 * capital, 0.9 * capital, 0.3 * capital, colour)
        x -= 0.4 * capital


def tiled_picture(
    image: Image, camera: Camera, face: Face, model: FaceModel, tiles: Tiles, height: int = 420, time_s: float = 0.0
) -> Image:
    """The panel of ``tiles``: the face in the video and in each of them, and its albedo map beside its albedo; RGB.

    At most four columns of ``height`` pixels in a row.
    """
    gap = max(4, height // 80)
    title = max(24, height // 16)
    inner = height - 2 * gap - title
    crop, view, local = portrait(image, camera, face, model, inner, inner)
    columns = [("video", crop)]
    for kind in tiles.kinds:
        if kind == "video":
            continue
        columns.append((kind, tiles.tile(kind, crop, view, [local], time_s)))
        texture = tiles.albedo_map(face) if kind == "albedo" else None
        if texture is not None:
            sized = cv2.resize(texture, (inner, inner), interpolation=cv2.INTER_CUBIC)
            columns.append(("albedo as a texture", np.asarray(sized, np.uint8)))
    rows = [_row(columns[start : start + _COLUMNS], gap, title) for start in range(0, len(columns), _COLUMNS)]
    width = rows[0].shape[1]
    out = np.empty((sum(row.shape[0] for row in rows), width, 3), np.uint8)
    out[:] = _GROUND
    y = 0
    for row in rows:
        out[y : y + row.shape[0], : row.shape[1]] = row
        y += row.shape[0]
    return out


def _row(columns: Sequence[tuple[str, Image]], gap: int, title: int) -> Image:
    height = columns[0][1].shape[0] + 2 * gap + title
    width = sum(column.shape[1] for _, column in columns) + gap * (len(columns) + 1)
    out = np.empty((height, width, 3), np.uint8)
    out[:] = _GROUND
    x = gap
    for name, column in columns:
        paint.text(out, name, x + 2, gap + 0.66 * title, 0.34 * title, _MUTED)
        out[gap + title : gap + title + column.shape[0], x : x + column.shape[1]] = column
        x += column.shape[1] + gap
    return out


def _clay_albedo(model: FaceModel) -> Float32:
    """Eyes lighter and the mouth darker than the rest, so that a side view reads as a face."""
    tone = {
        "skin": 1.0,
        "eye_left": 1.12,
        "eye_right": 1.12,
        "lashes": 0.5,
        "inner_mouth": 0.45,
        "tongue": 0.6,
        "teeth": 1.1,
    }
    values = np.array([tone.get(name, 1.0) for name in model.part_names], np.float32)
    albedo: Float32 = values[model.parts]
    return albedo
