"""A synthetic clip and the take that a perfect tracker would have made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import FaceModel, load_face_model
from tracker.recording import open_writer
from tracker.rendering.video_writer import VideoWriter
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix
from tracker.sources.synthetic import SyntheticSource
from tracker.types import Face, FaceParams, Frame, FrameResult, ImageRGB, Landmarks

FRAMES = 9
WITHOUT_FACE = 4
SIZE = (320, 240)


@pytest.fixture(scope="session")
def head() -> FaceModel:
    return load_face_model()


def face_of(model: FaceModel, camera: Camera, identity: np.ndarray, params: FaceParams, face_id: int = 1) -> Face:
    points = camera.project(model.landmarks(model.vertices_camera(identity, params), "mediapipe478"))
    low, high = points.min(axis=0), points.max(axis=0)
    return Face(
        id=face_id,
        tracked=True,
        confidence=0.97,
        age=5,
        box=np.array([*low, *(high - low)], np.float32),
        params=params,
        raw=params,
        identity=np.asarray(identity, np.float32),
        identity_version=1,
        position=params.translation,
        quaternion=quaternion_from_matrix(matrix_from_rotvec(params.rotation)).astype(np.float32),
        arkit=params.expression[: len(ARKIT_NAMES)],
        gaze_left=np.zeros(2, np.float32),
        gaze_right=np.zeros(2, np.float32),
        landmarks=Landmarks(
            "mediapipe478",
            np.concatenate([points, np.zeros((len(points), 1))], axis=1).astype(np.float32),
            np.full(len(points), 1.5, np.float32),
        ),
        residual_px=0.0,
    )


@dataclass(frozen=True)
class Scene:
    source: SyntheticSource
    frames: list[Frame]
    results: list[FrameResult]

    def image(self, index: int) -> ImageRGB:
        return self.frames[index].image


@pytest.fixture(scope="session")
def scene(head: FaceModel) -> Scene:
    source = SyntheticSource(size=SIZE, rate=Fraction(6), frames=FRAMES, live=False)
    frames = list(source)
    # A variable frame rate: each interval is a little longer than the one before.
    times = [Fraction(index, 10) + Fraction(index * index, 400) for index in range(FRAMES)]
    frames = [
        replace(frame, pts_s=t_s, t_capture_ns=round(t_s * 10**9)) for frame, t_s in zip(frames, times, strict=True)
    ]
    results = []
    for frame in frames:
        identity, params = source.truth(frame.index)
        faces = () if frame.index == WITHOUT_FACE else (face_of(head, source.camera, identity, params),)
        results.append(
            FrameResult(
                index=frame.index,
                t_capture_ns=frame.t_capture_ns,
                clock="media",
                t_unix_ns=0,
                camera=source.camera,
                faces=faces,
                pts_s=frame.pts_s,
                rate=Fraction(10),
            )
        )
    return Scene(source, frames, results)


@pytest.fixture(scope="session")
def clip(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, *SIZE, Fraction(10)) as writer:
        for frame in scene.frames:
            assert frame.pts_s is not None
            writer.write(frame.image, frame.pts_s)
    return path


@pytest.fixture(scope="session")
def take(scene: Scene, head: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("take") / "take.npz"
    write_take(path, head, scene.results)
    return path


def write_take(path: Path, model: FaceModel, results: list[FrameResult]) -> None:
    with open_writer(path, model=model, landmarks=True) as writer:
        for result in results:
            writer.write(result)
