"""Frame results made by hand, with every field different from its neighbours."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from tests.toy_model import EXPRESSIONS, toy_model
from tracker.camera import Camera
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix
from tracker.srgb import LINEAR
from tracker.types import (
    Albedo,
    Face,
    FaceParams,
    FrameResult,
    IdentityState,
    Illumination,
    Landmarks,
    Occlusion,
)
from tracker.unit_codes import from_unit_codes

MODEL = toy_model()
POINTS = 12


def make_params(rng: np.random.Generator) -> FaceParams:
    def f32(values: object) -> np.ndarray:
        return np.asarray(values, np.float32)

    return FaceParams(
        expression=f32(rng.uniform(0, 1, len(EXPRESSIONS))),
        rotation=f32(np.array([np.pi, 0, 0]) + rng.normal(0, 0.3, 3)),
        translation=f32(np.array([0, 0, 0.5]) + rng.normal(0, 0.05, 3)),
        neck=f32(rng.normal(0, 0.1, 3)),
        jaw=f32(rng.normal(0, 0.1, 3)),
        eyes=f32(rng.normal(0, 0.1, 6)),
        eyelids=f32(rng.uniform(0, 1, 2)),
    )


def make_face(
    rng: np.random.Generator, face_id: int = 1, *, age: int = 0, version: int = 1, tracked: bool = True
) -> Face:
    params, raw = make_params(rng), make_params(rng)
    identity = np.random.default_rng(1000 * face_id + version).normal(0, 1, MODEL.identity_count).astype(np.float32)
    points = rng.uniform(0, 400, (POINTS, 3)).astype(np.float32)
    return Face(
        id=face_id,
        tracked=tracked,
        confidence=float(np.float32(rng.uniform(0.5, 1))),
        age=age,
        box=rng.uniform(1, 300, 4).astype(np.float32),
        params=params,
        raw=raw,
        identity=identity,
        identity_version=version,
        identity_state=IdentityState(
            0.1 * version, version > 2, 3 * version, np.linspace(0.3, 1.0, len(identity), dtype=np.float32)
        ),
        position=params.translation,
        quaternion=quaternion_from_matrix(matrix_from_rotvec(params.rotation)).astype(np.float32),
        arkit=rng.uniform(0, 1, 52).astype(np.float32),
        gaze_left=rng.normal(0, 0.2, 2).astype(np.float32),
        gaze_right=rng.normal(0, 0.2, 2).astype(np.float32),
        landmarks=Landmarks("toy12", points, rng.uniform(0.5, 4, POINTS).astype(np.float16).astype(np.float32)),
        residual_px=float(np.float32(rng.uniform(0.1, 2))),
        arkit_raw=rng.uniform(0, 1, 52).astype(np.float32),
    )


def make_frame(index: int, faces: tuple[Face, ...], *, size: tuple[int, int] = (640, 360)) -> FrameResult:
    pts = Fraction(index * 1001, 30000)
    return FrameResult(
        index=index,
        t_capture_ns=round(pts * 1_000_000_000),
        clock="media",
        t_unix_ns=1_700_000_000_000_000_000 + index,
        camera=Camera.for_image(*size),
        faces=faces,
        pts_s=pts,
        rate=Fraction(30000, 1001),
    )


def make_clip(frames: int, seed: int = 0) -> list[FrameResult]:
    """One face with a growing identity that is missing in every fifth frame from the start."""
    rng = np.random.default_rng(seed)
    return [
        make_frame(i, () if i % 5 == 0 else (make_face(rng, age=i, version=1 + i // 4, tracked=i % 3 != 0),))
        for i in range(frames)
    ]


def with_visibility(frame: FrameResult) -> FrameResult:
    """The frame with landmarks of which some are out of sight, told in bytes."""
    rng = np.random.default_rng(2000 + frame.index)

    def seen(face: Face) -> Face:
        visibility = from_unit_codes(rng.integers(0, 256, POINTS).astype(np.uint8))
        return replace(face, landmarks=replace(face.landmarks, visibility=visibility))

    return replace(frame, faces=tuple(seen(face) for face in frame.faces))


def with_appearance(frame: FrameResult, seed: int = 0) -> FrameResult:
    """The frame with light, occlusion and one albedo for each face."""
    rng = np.random.default_rng(1000 * seed + frame.index)

    def lit(face: Face) -> Face:
        codes = np.random.default_rng(face.id).integers(0, 256, (POINTS, 3))
        return replace(
            face,
            light=Illumination(
                rng.normal(0, 1, (9, 3)).astype(np.float32),
                float(np.float32(rng.uniform(0.1, 2))),
                rng.uniform(0.5, 2, 3).astype(np.float32),
            ),
            occlusion=Occlusion(
                float(np.float32(rng.uniform(0, 1))),
                rng.uniform(0, 1, len(MODEL.region_names)).astype(np.float32),
                np.zeros(0, np.float32),
                np.zeros(0, np.bool_),
            ),
            albedo=Albedo(LINEAR[codes], np.linspace(0, 1, 16, dtype=np.float32)[:POINTS], 0.5, 3),
        )

    return replace(frame, faces=tuple(lit(face) for face in frame.faces))
