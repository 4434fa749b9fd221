"""From a clip to labelled crops: follow and fit its faces, keep the frames that are understood, ask the teacher.

A frame is left out when the fit's residual is large, when something covers part of the face, or when the teacher's answers
scatter: what is wrong there would be learnt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import sh_basis
from tracker.camera import Camera
from tracker.config import TrackerConfig
from tracker.directions import even_directions
from tracker.face_model import load_face_model
from tracker.face_model.head_points import HEAD_POINTS, landmark_embedding
from tracker.landmarks.crop import Cropper, Roi, roi_around
from tracker.landmarks.mediapipe478 import OUTER_EYE_CORNERS
from tracker.rotations import matrix_from_rotvec
from tracker.sources.open import open_source
from tracker.tracking import FrameTracker
from tracker.types import Face, Float32, Frame
from trainer.data.video.shard import REACH, STORED_PX, Shard, nothing_known
from trainer.data.video.sources import VideoSource
from trainer.data.video.teacher import Lesson, Teacher

LARGEST_RESIDUAL: Final = 0.020
"""Of the crop's side."""
LARGEST_COVER: Final = 0.12
LARGEST_SCATTER: Final = 0.012
"""Median over landmarks, of the crop's side."""
FACE: Final = 478
HEAD_SIGMA: Final = 0.025
"""What a fit to the face knows of the head behind it, over the crop's side."""
LARGEST_TURN_IN_SIGHT: Final = -0.90
"""Cosine between the head's axis and the camera's up to which the whole face is in sight."""
_PICTURE_REPEATS: Final = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """How many faces were seen, and how many were understood."""

    seen: int
    kept: int


def gather(source: VideoSource, path: Path, teacher: Teacher) -> tuple[Shard, Kept]:
    """The labelled crops of one clip or picture.

    Raises:
        SourceError: it cannot be read.
        ValueError: no face in it is understood.
    """
    tracker = FrameTracker(TrackerConfig(max_faces=source.faces, appearance=True))
    cropper = Cropper(STORED_PX)
    rows: list[dict[str, Any]] = []
    seen = 0
    for frame in _frames(path):
        result = tracker.fit(tracker.encode(frame))
        if frame.index % source.every:
            continue
        for face in result.faces:
            if not face.tracked:
                continue
            seen += 1
            row = _label(frame, face, result.camera, teacher, cropper)
            if row is not None:
                row["person"] = f"{source.person}{face.id if source.faces > 1 else ''}"
                row["source"] = f"{source.file}#{frame.index}"
                rows.append(row)
    if not rows:
        raise ValueError(f"{path}: no face in it is understood well enough to learn from")
    return as_shard(rows), Kept(seen, len(rows))


def as_shard(rows: list[dict[str, Any]]) -> Shard:
    """Rows of values, named as the fields of ``Shard``, as one; possibly none."""
    if not rows:
        nobody = np.zeros(0, np.str_)
        return Shard(np.zeros((0, STORED_PX, STORED_PX, 3), np.uint8), person=nobody, source=nobody, **nothing_known(0))
    return Shard(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})


def _frames(path: Path) -> Iterator[Frame]:
    with open_source(str(path)) as opened:
        frames: Iterable[Frame] = opened
        first = next(iter(frames), None)
        if first is None:
            return
        yield first
        second = next(iter(frames), None)
        if second is not None:
            yield second
            yield from frames
            return
    # A picture: shown until the fit has settled; only the last time counts, since every = 1 takes all of them.
    for index in range(1, _PICTURE_REPEATS):
        yield Frame(first.image, index, round(index * 1e9 / 30), first.clock, first.t_unix_ns)


def _label(frame: Frame, face: Face, camera: Camera, teacher: Teacher, cropper: Cropper) -> dict[str, Any] | None:
    roi = tracker_crop(face.landmarks.points)
    if face.residual_px > LARGEST_RESIDUAL * roi.size or face.confidence < 0.5:
        return None
    if face.occlusion is not None and face.occlusion.fraction > LARGEST_COVER:
        return None
    lesson = teacher.look(frame.image, roi)
    if lesson.presence < 0.8 or float(np.median(lesson.scatter)) > LARGEST_SCATTER * roi.size:
        return None
    stored = tracker_crop(lesson.points)
    stored = Roi(stored.cx, stored.cy, stored.size * REACH, stored.rotation)
    turn = _looking_at(camera, stored)
    rotation = (turn @ matrix_from_rotvec(face.raw.rotation)).astype(np.float32)
    known = labels(lesson, stored)
    known["points"][FACE:] = _head_points(face, camera, stored)
    known["sigma"][FACE:] = HEAD_SIGMA
    # What the face itself hides: unknown where it is turned, and for the head always.
    if float(rotation[2, 2]) < LARGEST_TURN_IN_SIGHT:
        known["visible"][:FACE] = 1.0
    return {
        "crops": cropper.cut(frame.image, stored).copy(),
        **known,
        "rotation": rotation,
        "translation": (turn @ face.raw.translation).astype(np.float32),
        "light": _turned_light(face, turn),
        "focal": np.float32(camera.focal_px / stored.size),
        "identity": face.identity[:100],
        "expression": face.raw.expression,
        "residual": np.float32(face.residual_px / stored.size),
    }


def labels(lesson: Lesson, stored: Roi) -> dict[str, Any]:
    """A lesson in fractions of the stored crop's side; all else unknown."""
    known = {name: value[0] for name, value in nothing_known(1).items()}
    known["points"][:FACE] = in_crop(lesson.points, stored)
    known["sigma"][:FACE] = lesson.sigma / np.float32(stored.size)
    known["scores"] = lesson.scores
    return known


def _head_points(face: Face, camera: Camera, roi: Roi) -> Float32:
    """Ears, skull and nape (H, 3) where the fitted head has them, in fractions of the region's side."""
    model = load_face_model()
    around = landmark_embedding(model, HEAD_POINTS)
    vertices = model.vertices_camera(face.identity, face.raw)
    corners = vertices[model.faces[around.faces]]
    points = np.einsum("lk,lkx->lx", around.barycentric, corners)
    pixels = camera.project(points)
    depth = (points[:, 2] - face.raw.translation[2]) * camera.focal_px / face.raw.translation[2]
    return in_crop(np.column_stack([pixels, depth]), roi)


def in_crop(points: NDArray[np.floating], roi: Roi) -> Float32:
    """Image points (N, 3) as fractions of a region's side, from its upper left corner."""
    cos, sin = math.cos(roi.rotation), math.sin(roi.rotation)
    x, y = points[:, 0] - roi.cx, points[:, 1] - roi.cy
    local = np.stack([x * cos + y * sin, y * cos - x * sin, points[:, 2]], axis=1) / roi.size
    local[:, :2] += 0.5
    return local.astype(np.float32)


def tracker_crop(points: NDArray[np.floating]) -> Roi:
    """The region that the tracker would look at for a face with these landmarks (478, >=2)."""
    right, left = OUTER_EYE_CORNERS
    return roi_around(points, points[right], points[left])


def _looking_at(camera: Camera, roi: Roi) -> NDArray[np.float64]:
    """(3, 3) to the axes of a camera that looks at the region's centre and is turned with it."""
    ray = np.array([roi.cx - camera.cx, roi.cy - camera.cy, camera.focal_px], np.float64)
    ray /= np.linalg.norm(ray)
    axis = np.cross(ray, [0.0, 0.0, 1.0])
    angle = math.acos(min(1.0, float(ray[2])))
    length = float(np.linalg.norm(axis))
    look = matrix_from_rotvec(axis / length * angle) if length > 1e-9 else np.eye(3)
    return np.asarray(matrix_from_rotvec(np.array([0.0, 0.0, -roi.rotation])) @ look)


def _turned_light(face: Face, turn: NDArray[np.float64]) -> Float32:
    """(9, 3) the light on a face in the axes that ``turn`` takes the camera's to; NaN where it is not known."""
    if face.light is None:
        return np.full((9, 3), np.nan, np.float32)
    probes = even_directions(24).astype(np.float32)
    terms = np.linalg.pinv(sh_basis((probes @ turn.T).T.astype(np.float32)).T) @ (sh_basis(probes.T).T @ face.light.sh)
    return np.asarray(terms, np.float32)
