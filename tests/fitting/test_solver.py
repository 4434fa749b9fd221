"""The solver finds what made the landmarks, stays inside the bounds, and shrugs off outliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy_model import toy_model
from tracker.camera import Camera
from tracker.fitting.expression_prior import gaze_coupling
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.pose_start import similarity, start_pose
from tracker.fitting.residuals import FitState, IdentityPrior, Residuals, Target
from tracker.fitting.solver import Solver
from tracker.rotations import angle_between, matrix_from_rotvec

CAMERA = Camera.for_image(640, 480)


@pytest.fixture
def model() -> LandmarkModel:
    return LandmarkModel(toy_model(), "toy")


def make_truth(rng: np.random.Generator, count: int) -> FitState:
    rotation = matrix_from_rotvec(rng.normal(0, 0.3, 3)) @ np.diag([1.0, -1.0, -1.0])
    return FitState(rotation, np.array([0.02, -0.01, 0.6]), rng.uniform(0.2, 0.8, count).astype(np.float32))


def observe(model: LandmarkModel, truth: FitState) -> np.ndarray:
    points = truth.rotation @ model.evaluate(truth.expression) + truth.translation[:, None]
    return CAMERA.project(points.T).astype(np.float32)


def target_of(points: np.ndarray, count: int, sigma: float = 0.1) -> Target:
    return Target(
        points,
        np.full(points.shape[0], 1.0 / sigma**2, np.float32),
        np.zeros(count, np.float32),
        np.full(count, 50.0, np.float32),
        np.zeros((count, count)),
    )


def perturbed(truth: FitState, rng: np.random.Generator) -> FitState:
    return FitState(
        matrix_from_rotvec(rng.normal(0, 0.05, 3)) @ truth.rotation,
        truth.translation + rng.normal(0, 0.01, 3),
        np.clip(truth.expression + rng.normal(0, 0.1, truth.expression.size), 0, 1).astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(5))
def test_recovers_pose_and_expression(model, seed):
    rng = np.random.default_rng(seed)
    truth = make_truth(rng, model.expression_count)
    target = target_of(observe(model, truth), model.expression_count)
    found = Solver(model, toy_model().expression_bounds).solve(
        CAMERA, target, perturbed(truth, rng), iterations=20, tolerance=0.0
    )
    assert np.abs(found.projected - target.points).max() < 0.01
    assert angle_between(found.state.rotation, truth.rotation) < 2e-4
    assert np.abs(found.state.translation - truth.translation).max() < 2e-4
    assert np.abs(found.state.expression - truth.expression).max() < 2e-2


def test_recovers_identity_up_to_the_scale_one_view_leaves_open(model):
    rng = np.random.default_rng(3)
    identity = rng.normal(0, 1, model.identity_count).astype(np.float32)
    model.set_identity(identity)
    truth = make_truth(rng, model.expression_count)
    points = observe(model, truth)
    model.set_identity(np.zeros_like(identity))
    prior = IdentityPrior(np.eye(identity.size) * 1e-2, np.zeros(identity.size))
    found = Solver(model, toy_model().expression_bounds).solve(
        CAMERA, target_of(points, model.expression_count), perturbed(truth, rng), iterations=40, identity_prior=prior,
        tolerance=0.0,
    )  # fmt: skip
    assert np.abs(found.identity - identity).max() < 0.1
    assert np.array_equal(model.identity, found.identity)


def test_weights_stay_inside_their_bounds_and_do_not_stall(model):
    rng = np.random.default_rng(4)
    truth = make_truth(rng, model.expression_count)
    beyond = FitState(truth.rotation, truth.translation, truth.expression.copy())
    beyond.expression[0], beyond.expression[1] = 1.4, -0.4
    target = target_of(observe(model, beyond), model.expression_count)
    found = Solver(model, toy_model().expression_bounds).solve(CAMERA, target, truth, iterations=20)
    assert found.state.expression[0] == pytest.approx(1.0)
    assert found.state.expression[1] == pytest.approx(0.0)
    assert found.state.expression.min() >= 0.0 and found.state.expression.max() <= 1.0


def test_outliers_are_outvoted(model):
    rng = np.random.default_rng(5)
    truth = make_truth(rng, model.expression_count)
    points = observe(model, truth)
    points[:5] += 60.0
    found = Solver(model, toy_model().expression_bounds).solve(
        CAMERA, target_of(points, model.expression_count, sigma=1.0), perturbed(truth, rng), iterations=30,
        tolerance=0.0,
    )  # fmt: skip
    assert np.abs(found.projected[5:] - points[5:]).max() < 1.0


@pytest.mark.parametrize("yaw", [0.0, 0.6, 1.2])
def test_closed_form_start_is_near(model, yaw):
    rotation = np.diag([1.0, -1.0, -1.0]) @ matrix_from_rotvec(np.array([0.0, yaw, 0.4]))
    head = model.neutral_points().astype(np.float64)
    camera_points = head @ rotation.T + np.array([0.05, 0.02, 0.8])
    pixels = CAMERA.project(camera_points)
    scale = CAMERA.focal_px / 0.8
    observed = np.column_stack([pixels, (camera_points[:, 2] - 0.8) * scale]).astype(np.float32)
    found_rotation, found_translation = start_pose(CAMERA, observed, head, np.ones(head.shape[0]))
    assert angle_between(found_rotation, rotation) < 0.1
    assert np.abs(found_translation - [0.05, 0.02, 0.8]).max() < 0.05


def test_similarity_never_mirrors():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(20, 3))
    mirrored = source * [-1.0, 1.0, 1.0]
    _, rotation, _ = similarity(source, mirrored, np.ones(20))
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_gradient_matches_finite_differences(model):
    rng = np.random.default_rng(6)
    truth = make_truth(rng, model.expression_count)
    target = target_of(observe(model, truth), model.expression_count, sigma=2.0)
    mixed = rng.normal(size=(2, model.expression_count))
    target = replace(target, expression_coupling=mixed.T @ mixed)
    start = perturbed(truth, rng)
    start = FitState(start.rotation, start.translation, np.clip(start.expression, 0.1, 0.9))
    prior = IdentityPrior(np.eye(model.identity_count), rng.normal(0, 1, model.identity_count))
    residuals = Residuals(model)
    zero = np.zeros(model.identity_count)

    def cost(step: np.ndarray) -> float:
        ne = model.expression_count
        moved = FitState(
            matrix_from_rotvec(step[:3]) @ start.rotation,
            start.translation + step[3:6],
            start.expression + step[6 : 6 + ne].astype(np.float32),
        )
        model.set_identity(step[6 + ne :].astype(np.float32))
        return residuals.evaluate(CAMERA, target, moved, step[6 + ne :], prior).cost

    size = 6 + model.expression_count + model.identity_count
    at = residuals.evaluate(CAMERA, target, start, zero, prior)
    _, descent = residuals.linearise(CAMERA, target, at, expression=True, prior=prior)
    for index in range(size):
        span = 2e-4 if index < 6 else 2e-2
        step = np.eye(size)[index] * span
        numeric = -(cost(step) - cost(-step)) / (2 * span) / 2
        assert descent[index] == pytest.approx(numeric, rel=0.03, abs=0.03 * np.abs(descent).max() / 50)
    model.set_identity(zero.astype(np.float32))


def test_coupled_eyes_share_their_pitch():
    model = toy_model()
    coupling = gaze_coupling(model.joint_drive)
    up_left, in_right = model.expression_names.index("eyeLookUpLeft"), model.expression_names.index("eyeLookInRight")
    assert coupling[up_left, up_left] > coupling[in_right, in_right] > 0
    smile = model.expression_names.index("mouthSmileLeft")
    assert not coupling[smile].any()
