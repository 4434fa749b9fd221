"""ICT-FaceKit Light heads as test subjects: real scans' statistics that the tracker's own model does not contain.

The model (MIT, USC Institute for Creative Technologies) is read from the archive in the development data and packed once into the
user's cache. Rendering is plain on purpose: vertex colours, soft light, teeth and eyes from the model's own parts.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import SHARED
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.cache import atomic_target, ensure_cache_dir
from tracker.camera import Camera
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]

ARCHIVE: Final = SHARED / "face_models" / "ict_facekit.tar.xz"
_LANDMARKS: Final = SHARED / "face_models" / "ict_light_face_head_f16.npz"
# Vertex ranges of the parts that are drawn (the model's README).
PARTS: Final = {
    "face": (0, 9409), "head": (9409, 11248), "mouth": (11248, 13294), "socket": (13294, 14062), "gums": (14062, 17039),
    "teeth": (17039, 21451), "eye_left": (21451, 23021), "eye_right": (23021, 24591),
}  # fmt: skip
FACE_VERTICES: Final = 9409
"""The first so many vertices are the face with its ears."""
DRAWN_VERTICES: Final = PARTS["eye_right"][1]
"""The first so many vertices are the parts above; lashes, tears and occlusion meshes follow."""
IRIS_RADIUS_M: Final = 0.0060
GAZE_RAD: Final = (0.5, 0.4)
"""Turn of an eye at full weight, sideways and up or down."""
_SUPERSAMPLE: Final = 2


@dataclass(frozen=True, slots=True)
class IctModel:
    """Metres, head axes (x subject-left, y up, z out of the face), origin midway between the eyeballs' centres."""

    mean: Float32
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    identity: Float32
    """(100, V, 3) per standard deviation."""
    expression: Float32
    """(52, V, 3) in ``ARKIT_NAMES`` order; tongueOut is zero."""
    landmarks68: NDArray[np.intp]

    def relaxed(self, identity: Float32) -> Float32:
        """(V, 3)."""
        shape: Float32 = self.mean + np.tensordot(identity, self.identity, 1)
        return shape

    def vertices(self, identity: Float32, expression: Float32) -> Float32:
        """(V, 3)."""
        shape: Float32 = self.relaxed(identity) + np.tensordot(expression, self.expression, 1)
        for name, side in (("eye_left", "Left"), ("eye_right", "Right")):
            eye = shape[slice(*PARTS[name])]
            centre = eye.mean(axis=0)
            # The model's gaze shapes move the lids only; the eyeballs are for the user to turn.
            up, down, inwards, out = (
                expression[ARKIT_INDEX[f"eyeLook{way}{side}"]] for way in ("Up", "Down", "In", "Out")
            )
            yaw = (out - inwards) * GAZE_RAD[0] * (1.0 if side == "Left" else -1.0)
            turn = matrix_from_rotvec(np.array([(down - up) * GAZE_RAD[1], yaw, 0.0])).astype(np.float32)
            eye[:] = (eye - centre) @ turn.T + centre
        return shape


def available() -> bool:
    """Whether the development data is there."""
    return ARCHIVE.is_file() and _LANDMARKS.is_file()


@cache
def load() -> IctModel:
    """The model, from the user's cache after the first time (about 10 s)."""
    packed = ensure_cache_dir("evaluation") / "ict_facekit_light.npz"
    if not packed.is_file():
        _pack(packed)
    with np.load(packed) as data:
        mean, faces = data["mean"], data["faces"]
        identity, expression = data["identity"].astype(np.float32), data["expression"].astype(np.float32)
    eyes = np.stack([mean[slice(*PARTS[name])].mean(axis=0) for name in ("eye_left", "eye_right")])
    with np.load(_LANDMARKS) as data:
        landmarks = data["landmarks68"].astype(np.intp)
    return IctModel(mean - eyes.mean(axis=0).astype(np.float32), faces, identity, expression, landmarks)


def _pack(target: Path) -> None:
    shapes: dict[str, Float32] = {}
    faces = np.zeros((0, 3), np.int32)
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if not member.name.endswith(".obj"):
                continue
            opened = archive.extractfile(member)
            assert opened is not None
            text = opened.read()
            shapes[Path(member.name).stem] = _vertices(text)
            if "generic_neutral_mesh" in member.name:
                faces = _triangles(text)
    neutral = shapes["generic_neutral_mesh"]
    identity = np.stack([shapes[f"identity{k:03d}"] - neutral for k in range(100)])
    expression = np.zeros((len(ARKIT_NAMES), *neutral.shape), np.float32)
    for index, name in enumerate(ARKIT_NAMES):
        for part in _ict_names(name):
            if part in shapes:
                expression[index] += shapes[part] - neutral
    with atomic_target(target) as partial, partial.open("wb") as stream:
        # Centimetres to metres.
        np.savez(
            stream, mean=neutral * np.float32(0.01), faces=faces, identity=(identity * 0.01).astype(np.float16),
            expression=(expression * 0.01).astype(np.float16),
        )  # fmt: skip


def _ict_names(arkit: str) -> tuple[str, ...]:
    for side in ("Left", "Right"):
        if arkit.endswith(side) and not arkit.startswith(("jaw", "mouthLeft", "mouthRight")):
            return (f"{arkit.removesuffix(side)}_{side[0]}",)
    return (arkit, f"{arkit}_L", f"{arkit}_R")


def _vertices(text: bytes) -> Float32:
    rows = [line[2:] for line in text.splitlines() if line.startswith(b"v ")]
    return np.fromstring(b" ".join(rows).decode(), np.float32, sep=" ").reshape(-1, 3)  # type: ignore[no-any-return]


def _triangles(text: bytes) -> NDArray[np.int32]:
    triangles = []
    for line in text.splitlines():
        if line.startswith(b"f "):
            corners = [int(corner.split(b"/")[0]) - 1 for corner in line.split()[1:]]
            triangles += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
    return np.array(triangles, np.int32)


class IctScene:
    """Renders people of the model."""

    def __init__(self, model: IctModel, seed: int = 0) -> None:
        drawn = np.zeros(len(model.mean), bool)
        for first, last in PARTS.values():
            drawn[first:last] = True
        self._model = model
        self._faces = model.faces[drawn[model.faces].all(axis=1)]
        self._normals = NormalField(self._faces, len(model.mean))
        rng = np.random.default_rng(seed)
        self._tone = np.array([0.83, 0.62, 0.52]) * rng.uniform(0.45, 1.0) ** np.array([0.6, 1.0, 1.2])
        self._iris = rng.uniform((0.05, 0.04, 0.02), (0.22, 0.25, 0.30))
        self._colours = self._paint()
        self._lamp = np.array([rng.uniform(-0.7, 0.7), -0.6, -0.8])
        coarse = rng.uniform(0.15, 0.7, (5, 7, 3)).astype(np.float32)
        self._room = coarse

    def render(
        self, identity: Float32, expression: Float32, rotation: Float32, translation: Float32, camera: Camera
    ) -> NDArray[np.uint8]:
        """RGB uint8 of the camera's size, of a head with this pose (3, 3), (3,) in camera axes."""
        scale = _SUPERSAMPLE
        head = self._model.vertices(identity, expression)
        points = head @ rotation.T + translation
        pixels = camera.project(points) * scale
        width, height = camera.width * scale, camera.height * scale
        raster = rasterize(pixels, points[:, 2], self._faces, width, height)
        normals = self._normals(head) @ rotation.T
        lamp = self._lamp / np.linalg.norm(self._lamp)
        light = 0.45 - 0.12 * normals[:, 1] + 0.75 * np.clip((normals @ lamp + 0.15) / 1.15, 0.0, None)
        colour = raster.interpolate((self._colours * light[:, None]).astype(np.float32))
        image = cv2.resize(self._room, (width, height), interpolation=cv2.INTER_CUBIC).reshape(-1, 3)
        image[raster.pixel] = colour
        small = cv2.resize(image.reshape(height, width, 3), (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        return (np.clip(small, 0.0, 1.0) ** (1 / 1.6) * 255.0 + 0.5).astype(np.uint8)

    def _paint(self) -> Float32:
        """(V, 3) linear colours of the relaxed mean head, painted from the front."""
        mean, model = self._model.mean, self._model
        colours = np.tile(self._tone, (len(mean), 1))
        front = mean[: PARTS["face"][1]]
        marks = mean[model.landmarks68]
        skin = colours[: len(front)]
        lips = _inside(front, marks[48:60]) & (front[:, 2] > marks[60:, 2].min() - 0.01)
        skin[lips] = self._tone * np.array([0.85, 0.50, 0.52])
        for first in (17, 22):
            brow = _distance(front[:, :2], marks[first : first + 5, :2])
            skin[(brow < 0.0035) & (front[:, 2] > 0)] = 0.06
        for name, colour in (
            ("mouth", (0.16, 0.05, 0.05)), ("gums", (0.35, 0.12, 0.12)), ("teeth", (0.75, 0.72, 0.66)),
            ("eye_left", (0.80, 0.78, 0.76)), ("eye_right", (0.80, 0.78, 0.76)),
            ("socket", (0.4, 0.2, 0.18)),
        ):  # fmt: skip
            colours[slice(*PARTS[name])] = colour
        head = slice(*PARTS["head"])
        hair = (mean[head, 1] > 0.045) | ((mean[head, 2] < -0.09) & (mean[head, 1] > -0.07))
        colours[head][hair] = 0.05
        for name in ("eye_left", "eye_right"):
            # The cornea is opaque here, so the iris is painted on it.
            eye = mean[slice(*PARTS[name])]
            centre = eye.mean(axis=0)
            radius = np.linalg.norm(eye[:, :2] - centre[:2], axis=1)
            painted = colours[slice(*PARTS[name])]
            painted[(radius < IRIS_RADIUS_M) & (eye[:, 2] > centre[2])] = self._iris
            painted[(radius < 0.0024) & (eye[:, 2] > centre[2])] = 0.01
        return colours.astype(np.float32)


def _inside(points: Float32, outline: Float32) -> NDArray[np.bool_]:
    polygon = (outline[:, :2] * 1e4).astype(np.float32)
    return np.array(
        [cv2.pointPolygonTest(polygon, (float(x * 1e4), float(y * 1e4)), False) >= 0 for x, y in points[:, :2]]
    )


def _distance(points: Float32, line: Float32) -> Float32:
    """Distance of points (N, 2) to an open polyline (M, 2)."""
    nearest = np.full(len(points), np.inf, np.float32)
    for start, end in pairwise(line):
        along = np.clip(((points - start) @ (end - start)) / ((end - start) @ (end - start)), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - along[:, None] * (end - start), axis=1))
    return nearest
