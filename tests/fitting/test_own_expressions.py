"""Fitting a model whose expressions are not ARKit's: the scores reach it through its map, joints and lids are free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tools.structured_models.flame_model import flame_face_model
from tracker.arkit import ARKIT_INDEX
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.fitting.fitter import FaceFitter
from tracker.fitting.mapped_prior import MappedPrior, has_own_expressions
from tracker.fitting.stage import FitStage
from tracker.rotations import angle_between, matrix_from_rotvec
from tracker.smoothing import SmoothingConfig
from tracker.types import FaceObservation, Landmarks

SET = "mediapipe478"
CAMERA = Camera.for_image(640, 480)
ROTATION = matrix_from_rotvec(np.array([0.05, 0.15, 0.02])) @ np.diag([1.0, -1.0, -1.0])
TRANSLATION = np.array([0.02, -0.01, 0.55])


def seen(weights: np.ndarray, identity: np.ndarray, hint: np.ndarray | None) -> FaceObservation:
    """What an encoder would see of the model with these weights (109,)."""
    model = flame_face_model()
    params = model.params_of(weights, np.zeros(3), np.zeros(3))
    head = model.landmarks(model.vertices_head(identity, params), SET).astype(np.float64)
    camera_points = head @ ROTATION.T + TRANSLATION
    pixels = np.empty((len(head), 3), np.float32)
    pixels[:, :2] = CAMERA.project(camera_points)
    pixels[:, 2] = (camera_points[:, 2] - TRANSLATION[2]) * CAMERA.focal_px / TRANSLATION[2]
    low, high = pixels[:, :2].min(axis=0), pixels[:, :2].max(axis=0)
    return FaceObservation(
        face_id=0, age=0, landmarks=Landmarks(SET, pixels, np.full(len(head), 0.4, np.float32)), presence=1.0,
        box=np.concatenate([low, high - low]), arkit_hint=hint,
    )  # fmt: skip


def weights_for(**arkit: float) -> np.ndarray:
    wanted = np.zeros(52)
    for name, value in arkit.items():
        wanted[ARKIT_INDEX[name]] = value
    return (flame_face_model().arkit_map @ wanted).astype(np.float32)


@pytest.mark.parametrize(
    "arkit",
    [
        {"jawOpen": 0.7},
        {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.2},
        {"eyeBlinkLeft": 0.9},
        {"mouthPucker": 0.8},
        {"browInnerUp": 0.8},
        {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6},
        {"eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5},
    ],
    ids=lambda arkit: "+".join(arkit),
)
def test_expressions_come_out_under_their_own_names(arkit):
    # Scores that know half of what happens, as the network's do.
    hint = np.zeros(52, np.float32)
    for name, value in arkit.items():
        hint[ARKIT_INDEX[name]] = 0.5 * value
    stage = FitStage(flame_face_model(), SET, smoothing=SmoothingConfig(enabled=False))
    observation = seen(weights_for(**arkit), np.zeros(300, np.float32), hint)
    for frame in range(3):
        (face,) = stage.process([observation], CAMERA, frame * 33_000_000)
    strongest = {name for name, index in ARKIT_INDEX.items() if face.arkit[index] > 0.6 * max(arkit.values())}
    assert max(arkit, key=arkit.__getitem__) in strongest
    for name, value in arkit.items():
        assert face.arkit[ARKIT_INDEX[name]] == pytest.approx(value, abs=0.3), name
    assert face.params.expression.shape == (100,)
    assert angle_between(matrix_from_rotvec(face.params.rotation), ROTATION) < np.radians(1.5)


def test_jaw_and_gaze_are_found():
    weights = weights_for(jawOpen=0.6, eyeLookOutLeft=0.5, eyeLookInRight=0.5)
    model = flame_face_model()
    truth = model.params_of(weights, np.zeros(3), np.zeros(3))
    fitter = FaceFitter(model, SET)
    observation = seen(weights, np.zeros(300, np.float32), np.zeros(52, np.float32))
    for _ in range(3):
        fitted = fitter.fit(observation, CAMERA)
    found = model.params_of(fitted.state.expression, np.zeros(3), np.zeros(3))
    assert np.abs(found.jaw - truth.jaw).max() < np.radians(4)
    assert np.abs(found.eyes - truth.eyes).max() < np.radians(4)


def test_bounds_hold_for_joints_and_lids():
    model = flame_face_model()
    weights = weights_for(jawOpen=1.0)
    weights[model.expression_names.index("jaw_pitch")] = 1.2
    fitted = FaceFitter(model, SET).fit(seen(weights, np.zeros(300, np.float32), None), CAMERA)
    assert (fitted.state.expression >= model.expression_bounds[:, 0] - 1e-6).all()
    assert (fitted.state.expression <= model.expression_bounds[:, 1] + 1e-6).all()


def test_what_the_head_cannot_do_is_published_as_scored():
    hint = np.zeros(52, np.float32)
    hint[ARKIT_INDEX["tongueOut"]] = 0.4
    fitted = FaceFitter(flame_face_model(), SET).fit(
        seen(np.zeros(109, np.float32), np.zeros(300, np.float32), hint), CAMERA
    )
    assert fitted.arkit is not None
    assert fitted.arkit[ARKIT_INDEX["tongueOut"]] == pytest.approx(0.4, abs=1e-5)


def test_without_a_map_the_population_is_the_prior():
    bare = replace(flame_face_model(), arkit_map=None, arkit_explained=None)
    assert has_own_expressions(bare)
    mean, information = MappedPrior(bare).given(np.ones(52, np.float32))
    assert not mean.any()
    np.testing.assert_allclose(np.diag(information)[:100], 1.0)
    fitted = FaceFitter(bare, SET).fit(seen(weights_for(jawOpen=0.6), np.zeros(300, np.float32), None), CAMERA)
    assert np.isfinite(fitted.state.expression).all()
    assert fitted.arkit is not None
    assert not fitted.arkit.any()


def test_the_built_in_head_keeps_its_own_words():
    assert not has_own_expressions(load_face_model())
