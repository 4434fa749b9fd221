"""Takes to export: the toy model's and the built-in head's."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.recording.factory import make_face, make_frame
from tracker.face_model import FaceModel, load_face_model
from tracker.recording import Take, open_writer, read_take
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix
from tracker.types import Face, FrameResult

RATE = Fraction(30000, 1001)


def smooth_face(model: FaceModel, index: int, face_id: int = 1) -> Face:
    """A face of ``model`` that turns and talks; every value differs from its neighbours."""
    t = index / 30.0
    phase = np.arange(len(model.published_names)) * 0.7 + face_id
    expression = (0.5 + 0.4 * np.sin(2.0 * t + phase)).astype(np.float32)
    rotation = np.array([np.pi, 0.0, 0.0]) + 0.25 * np.sin(np.array([1.3, 1.7, 2.3]) * t + face_id)
    translation = np.array([0.1 * np.sin(t), 0.05 * np.cos(t), 0.6]) + 0.1 * face_id
    params = model.params_of(
        np.concatenate([expression, np.zeros(model.expression_count - len(expression), np.float32)]),
        rotation,
        translation,
    )
    params = dataclasses.replace(params, neck=(0.1 * np.sin(t + np.arange(3))).astype(np.float32))
    face = make_face(np.random.default_rng(index), face_id, age=index)
    return dataclasses.replace(
        face,
        params=params,
        raw=params,
        identity=np.random.default_rng(face_id).normal(0, 0.7, model.identity_count).astype(np.float32),
        identity_version=1,
        identity_state=None,
        position=params.translation,
        quaternion=quaternion_from_matrix(matrix_from_rotvec(params.rotation)).astype(np.float32),
        arkit=(0.5 + 0.5 * np.sin(3.0 * t + np.arange(52))).astype(np.float32),
        gaze_left=np.array([0.2 * np.sin(t), 0.1 * np.cos(t)], np.float32),
        gaze_right=np.array([-0.1 * np.sin(t), 0.15], np.float32),
    )


def clip(model: FaceModel, frames: int, *, away: range = range(0), people: int = 1) -> list[FrameResult]:
    """``frames`` at 29.97 a second with faces 1.. ``people``; nobody in the frames ``away``."""
    faces = [() if i in away else tuple(smooth_face(model, i, 1 + who) for who in range(people)) for i in range(frames)]
    return [make_frame(i, found) for i, found in enumerate(faces)]


def record(path: Path, model: FaceModel, frames: list[FrameResult]) -> Take:
    with open_writer(path, model=model, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
    return read_take(path)


def builtin() -> FaceModel:
    return load_face_model("builtin")


def facing_vertices(model: FaceModel, face: Face) -> np.ndarray:
    """Where the product's own equations put the mesh, in y-up axes."""
    vertices = model.vertices_camera(face.identity, face.params).astype(np.float64)
    return vertices * (1.0, -1.0, -1.0)
