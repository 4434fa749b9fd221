"""Landmarks out of sight, against what a renderer says of the same heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.recording.factory import make_face
from tracker.camera import Camera
from tracker.face_model import FaceModel, load_face_model
from tracker.fitting.sight import LandmarkSight
from tracker.rendering.rasterizer import rasterize
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.types import HIDDEN_BELOW, Face, Landmarks

SET = "mediapipe478"
CAMERA = Camera.for_image(640, 360)


@pytest.fixture(scope="module")
def head() -> FaceModel:
    return load_face_model("builtin")


def turned(head: FaceModel, yaw_deg: float, right_m: float = 0.0) -> Face:
    turn = matrix_from_rotvec(np.array([0.0, np.radians(yaw_deg), 0.0])) @ np.diag([1.0, -1.0, -1.0])
    params = replace(
        head.neutral_params(),
        rotation=head_rotvec_from_matrix(turn).astype(np.float32),
        translation=np.array([right_m, 0.0, 0.5], np.float32),
    )
    identity = np.zeros(head.identity_count, np.float32)
    pixels = CAMERA.project(head.landmarks(head.vertices_camera(identity, params), SET))
    points = np.c_[pixels, np.zeros(len(pixels))].astype(np.float32)
    landmarks = Landmarks(SET, points, np.ones(len(points), np.float32))
    return replace(make_face(np.random.default_rng(0)), params=params, identity=identity, landmarks=landmarks)


def seen(face: Face) -> np.ndarray:
    assert face.landmarks.visibility is not None
    return face.landmarks.visibility


@pytest.mark.parametrize(("yaw_deg", "least"), [(0, 0.94), (20, 0.93), (-45, 0.86), (70, 0.85)])
def test_most_of_what_the_head_hides_of_itself_is_known(head: FaceModel, yaw_deg: float, least: float) -> None:
    face = turned(head, yaw_deg)
    vertices = head.vertices_camera(face.identity, face.params)
    raster = rasterize(CAMERA.project(vertices), vertices[:, 2], head.faces, CAMERA.width, CAMERA.height)
    points = head.landmarks(vertices, SET)
    in_sight = points[:, 2] < raster.depth_at(CAMERA.project(points)) + 0.004
    said = seen(LandmarkSight(head, SET)(face, CAMERA)) >= HIDDEN_BELOW
    assert (said == in_sight).mean() > least
    assert abs(said.mean() - in_sight.mean()) < 0.06


def test_what_lies_beyond_the_picture_is_out_of_sight(head: FaceModel) -> None:
    face = turned(head, 0, right_m=0.22)
    beyond = face.landmarks.points[:, 0] > CAMERA.width
    assert 0.2 < beyond.mean() < 0.8
    visibility = seen(LandmarkSight(head, SET)(face, CAMERA))
    assert not visibility[beyond].any() and visibility[~beyond].mean() > 0.6


def test_what_something_is_in_front_of_is_out_of_sight(head: FaceModel) -> None:
    sight, face = LandmarkSight(head, SET), turned(head, 0)
    covered = np.zeros(len(face.landmarks.points), np.float32)
    covered[:200] = 0.9
    bare, under = seen(sight(face, CAMERA)), seen(sight(face, CAMERA, covered))
    np.testing.assert_allclose(under[:200], 0.1 * bare[:200], rtol=1e-5)
    np.testing.assert_array_equal(under[200:], bare[200:])


def test_the_lesser_of_what_the_encoder_says_and_what_the_head_hides_holds(head: FaceModel) -> None:
    face, sight = turned(head, 60), LandmarkSight(head, SET)
    by_head = seen(sight(face, CAMERA))
    told = np.full(len(face.landmarks.points), 0.3, np.float32)
    both = seen(sight(replace(face, landmarks=replace(face.landmarks, visibility=told)), CAMERA))
    np.testing.assert_array_equal(both, np.minimum(by_head, told))
    assert by_head.min() < 0.3 < by_head.max()
