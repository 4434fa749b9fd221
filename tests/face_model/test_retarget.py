"""A face of the built-in head in FLAME's parameters: the same surface, the same words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy_model import toy_model
from tools.structured_models.flame import flame_arrays
from tools.structured_models.flame_model import flame_face_model
from tracker.arkit import ARKIT_NAMES
from tracker.errors import FaceModelError
from tracker.face_model import load_face_model
from tracker.face_model.retarget import Retarget
from tracker.fitting.recenter import FRONTAL, Recenter
from tracker.rotations import angle_between, matrix_from_quaternion, matrix_from_rotvec, quaternion_from_matrix
from tracker.types import Face, Landmarks

HEAD, FLAME = load_face_model(), flame_face_model()


def some_face(version: int = 1, spread: float = 0.8, **arkit: float) -> Face:
    rng = np.random.default_rng(version)
    identity = (rng.standard_normal(HEAD.identity_count) * spread).astype(np.float32)
    named = np.array([arkit.get(name, 0.0) for name in HEAD.expression_names], np.float32)
    params = HEAD.params_of(named, np.array([3.0, 0.2, 0.1]), np.array([0.03, -0.02, 0.6]))
    return Face(
        id=4, tracked=True, confidence=0.9, age=3, box=np.zeros(4, np.float32), params=params, raw=params, identity=identity,
        identity_version=version, position=params.translation,
        quaternion=quaternion_from_matrix(matrix_from_rotvec(params.rotation)).astype(np.float32),
        arkit=np.array([arkit.get(name, 0.0) for name in ARKIT_NAMES], np.float32), gaze_left=np.zeros(2, np.float32),
        gaze_right=np.zeros(2, np.float32), landmarks=Landmarks("mediapipe478", np.zeros((0, 3)), np.zeros(0)),
        residual_px=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def retarget() -> Retarget:
    return Retarget(HEAD, FLAME)


@pytest.mark.parametrize(
    "arkit", [{}, {"jawOpen": 0.7}, {"mouthSmileLeft": 0.8}, {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9}]
)
def test_the_surface_stays_where_it_is(retarget, arkit):
    face = some_face(**arkit)
    told = retarget(face)
    assert told.params.expression.shape == (100,)
    assert told.identity.shape == (300,)
    skin = FLAME.skin_mask > 0.5
    where = flame_arrays().from_builtin.apply(HEAD.vertices_camera(face.identity, face.params))
    apart = np.linalg.norm(FLAME.vertices_camera(told.identity, told.params) - where, axis=1)[skin]
    stranger = flame_arrays().from_builtin.apply(HEAD.vertices_camera(np.zeros_like(face.identity), face.params))
    assert apart.mean() < 0.0015
    assert apart.mean() < 0.5 * np.linalg.norm(stranger - where, axis=1)[skin].mean()
    np.testing.assert_array_equal(told.arkit, face.arkit)


def test_gaze_and_pose_are_kept(retarget):
    face = some_face(eyeLookUpLeft=0.5, eyeLookUpRight=0.5)
    told = retarget(face)
    np.testing.assert_allclose(told.params.eyes, face.params.eyes, atol=1e-6)
    assert angle_between(matrix_from_rotvec(told.params.rotation), matrix_from_rotvec(face.params.rotation)) < 0.03
    np.testing.assert_allclose(told.position, told.params.translation, atol=1e-6)


def test_a_recentred_pose_stays_recentred(retarget):
    face = some_face()
    centre = Recenter()
    centre.set_reference(face.params.translation, matrix_from_rotvec(face.params.rotation))
    position, rotation = centre(face.params.translation.astype(float), matrix_from_rotvec(face.params.rotation))
    told = retarget(
        replace(
            face, position=position.astype(np.float32), quaternion=quaternion_from_matrix(rotation).astype(np.float32)
        )
    )
    assert angle_between(matrix_from_quaternion(told.quaternion), FRONTAL) < 0.03
    assert np.abs(told.position[:2]).max() < 0.01


def test_a_shape_is_solved_for_once_per_version(retarget):
    first = retarget(some_face(7)).identity
    assert retarget(some_face(7, jawOpen=0.5)).identity is first
    assert not np.array_equal(retarget(some_face(8)).identity, first)


def test_what_cannot_be_said_otherwise_is_refused():
    with pytest.raises(FaceModelError, match="has expressions of its own; track with it directly, without --flame"):
        Retarget(FLAME, FLAME)
    with pytest.raises(FaceModelError, match="has no ARKit map; give an imported FLAME"):
        Retarget(HEAD, HEAD)
    with pytest.raises(FaceModelError, match="share no landmark set: expected mediapipe478 or ibug68"):
        Retarget(toy_model(), FLAME)
