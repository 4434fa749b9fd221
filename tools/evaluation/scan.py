"""A real head, scanned: rendered from many sides, it is what a fitted face is laid against.

The scan (James, from menpo3d's data, BSD 3-clause) is a closed-mouth, relaxed face with the lids half down, in millimetres
with 68 landmarks. It is shown in the colours of its own photographs, whose light is baked in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import SHARED
from tools.evaluation.metrics import similarity
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.fitting.recenter import FRONTAL
from tracker.rendering.rasterizer import rasterize
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]
ImageRGB = NDArray[np.uint8]

_FOLDER: Final = SHARED / "scans"
SIZE: Final = (640, 640)
_DISTANCE_M: Final = 0.5
_IBUG_ORDER: Final = (*range(17), *range(29, 34), *range(43, 48), *range(34, 43), *range(17, 29), *range(48, 68))
"""The file keeps eyes, brows and nose in another order than the 68 points' usual one."""
_DRAWN_IN: Final = 0.92
_FOREHEAD_M: Final = 0.030
_TEMPLE_M: Final = 0.012
_ARC: Final = 0.35
_EYE_GROWN: Final = 1.25
_SUPERSAMPLE: Final = 2
VIEWS_DEG: Final = (
    (0, 0), (10, 0), (20, 0), (30, 0), (38, 4), (28, 10), (14, 12), (0, 12), (-14, 12), (-28, 10), (-38, 4), (-30, 0),
    (-20, 0), (-10, 0), (-8, -9), (8, -9),
)  # fmt: skip
"""Turn and nod of each view: a path from side to side, as a head moves."""
HELD_FRAMES: Final = 3
"""Identity is learned from poses that last."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Metres, head axes (x subject-left, y up, z out of the face), origin midway between the outer eye corners."""

    vertices: Float32
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: Float32
    """(T, 2), origin bottom left."""
    uv_faces: NDArray[np.int32]
    texture: ImageRGB
    landmarks68: Float32
    """(68, 3)."""
    region: NDArray[np.intp]
    """Vertices of bare face: see ``_face_region``."""


def available() -> bool:
    """Whether the development data is there."""
    return all((_FOLDER / f"james.{kind}").is_file() for kind in ("obj", "jpg", "ljson"))


@cache
def load() -> Scan:
    """The scan."""
    rows: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"f": []}
    for line in (_FOLDER / "james.obj").read_bytes().splitlines():
        kind, _, rest = line.partition(b" ")
        if kind in rows:
            rows[kind].append(rest)
    vertices, uv = (np.array([r.split() for r in rows[kind]], np.float64) for kind in (b"v", b"vt"))
    corners = np.array([[c.split(b"/") for c in r.split()] for r in rows[b"f"]], np.int32) - 1
    stored = np.array(json.loads((_FOLDER / "james.ljson").read_text())["groups"]["LJSON"]["landmarks"]["points"])
    head = load_face_model()
    marks = stored[list(_IBUG_ORDER)] * 1e-3
    # The scan looks aside and lies beside its origin: the built-in head's points say where its axes are.
    _, rotation, _ = similarity(marks, head.landmarks(head.template, "ibug68"))
    eyes = marks[[36, 45]].mean(axis=0)
    vertices, marks = (vertices * 1e-3 - eyes) @ rotation.T, (marks - eyes) @ rotation.T
    texture = cv2.cvtColor(cv2.imread(str(_FOLDER / "james.jpg")), cv2.COLOR_BGR2RGB)
    return Scan(
        vertices.astype(np.float32), corners[:, :, 0], uv.astype(np.float32), corners[:, :, 1],
        np.asarray(texture, np.uint8), marks.astype(np.float32), _face_region(vertices, marks),
    )  # fmt: skip


def _face_region(vertices: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.intp]:
    """Bare face: in front of the ears, above the jaw line, below the hair, without what lies between the lids.

    Seen from the front, the outline follows the jaw's landmarks, drawn in by 8 %, and closes in an arc over the forehead, 30 mm
    above the brows. Eyes are left out because the scanner closed them with a film.
    """
    jaw = marks[:17, :2]
    middle = (marks[0, :2] + marks[16, :2]) / 2.0
    jaw = middle + (jaw - middle) * _DRAWN_IN
    top = marks[17:27, 1].max() + _FOREHEAD_M
    across = np.linspace(jaw[16, 0] - _TEMPLE_M, jaw[0, 0] + _TEMPLE_M, 9)
    arc = top - _ARC * (across - middle[0]) ** 2 / abs(jaw[0, 0] - middle[0])
    outline = np.concatenate([jaw, np.stack([across, arc], axis=1)])
    inside = _inside(vertices, outline) & (vertices[:, 2] > marks[[0, 16], 2].max() - 0.005)
    for first in (36, 42):
        eye = marks[first : first + 6, :2]
        inside &= ~_inside(vertices, eye.mean(axis=0) + (eye - eye.mean(axis=0)) * _EYE_GROWN)
    return np.flatnonzero(inside)


def _inside(points: NDArray[np.float64], outline: NDArray[np.float64]) -> NDArray[np.bool_]:
    polygon = (outline * 1e3).astype(np.float32)[:, None]
    return np.array([cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0 for x, y in points[:, :2] * 1e3])


def pictures() -> tuple[list[ImageRGB], Camera]:
    """The scan from every view, each view ``HELD_FRAMES`` times, and the camera."""
    camera = Camera.for_image(*SIZE)
    images = [image for image in _views(load(), camera) for _ in range(HELD_FRAMES)]
    return images, camera


def _views(scan: Scan, camera: Camera) -> Iterator[ImageRGB]:
    width, height = camera.width * _SUPERSAMPLE, camera.height * _SUPERSAMPLE
    room = cv2.resize(np.array([[90, 96, 104], [60, 64, 72]], np.float32)[:, None].repeat(2, axis=1), (width, height))
    size = np.array([scan.texture.shape[1], scan.texture.shape[0]], np.float32)
    linear = np.asarray(scan.texture)
    for yaw, pitch in VIEWS_DEG:
        turn = matrix_from_rotvec(np.radians([0.0, yaw, 0.0])) @ matrix_from_rotvec(np.radians([-pitch, 0.0, 0.0]))
        points = (scan.vertices - np.array([0, -0.03, -0.05], np.float32)) @ (FRONTAL @ turn).T.astype(np.float32)
        points += np.array([0.0, 0.0, _DISTANCE_M], np.float32)
        raster = rasterize(
            camera.project(points) * _SUPERSAMPLE, points[:, 2], scan.faces, width, height, cull_back=False
        )
        place = raster.interpolate_corners(scan.uv[scan.uv_faces[raster.kept]])
        place = place * np.array([1, -1], np.float32) * size + np.array([-0.5, size[1] - 0.5], np.float32)
        grid = np.zeros((2, height, width), np.float32)
        grid.reshape(2, -1)[:, raster.pixel] = place.T
        colours = cv2.remap(linear, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = np.where(raster.mask[..., None], colours, room)
        small = cv2.resize(picture.astype(np.float32), SIZE, interpolation=cv2.INTER_AREA)
        # The photographs are dark.
        yield (255.0 * (small / 255.0) ** 0.75 + 0.5).astype(np.uint8)
