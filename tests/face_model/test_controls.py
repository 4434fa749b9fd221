"""Models whose joints and lids are free: weights, parameters and meshes must say the same thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy_model import toy_model
from tracker.errors import FaceModelError
from tracker.face_model import CONTROL_NAMES, EYE_LEFT, EYE_RIGHT, JAW, FaceModel, builtin_path, read_face_model
from tracker.fitting.landmark_model import LandmarkModel


def free_joint_model(*, correctives: bool = True) -> FaceModel:
    """The toy model with four shapes named as no ARKit shape is, and all controls."""
    model = toy_model(correctives=correctives)
    count = 4 + len(CONTROL_NAMES)
    rng = np.random.default_rng(5)
    basis = np.zeros((model.vertex_count, 3, count), np.float32)
    basis[:, :, :4] = rng.normal(0, 0.003, (model.vertex_count, 3, 4))
    basis[:, :, -2:] = rng.normal(0, 0.003, (model.vertex_count, 3, 2))
    drive = np.zeros((count, 5, 3), np.float32)
    for index, (joint, axis) in enumerate(
        [(JAW, 0), (JAW, 1), (JAW, 2), (EYE_LEFT, 0), (EYE_LEFT, 1), (EYE_RIGHT, 0), (EYE_RIGHT, 1)], 4
    ):
        drive[index, joint, axis] = 1.0
    bounds = np.tile(np.array([-1.0, 1.0], np.float32), (count, 1))
    bounds[-2:, 0] = 0.0
    return replace(
        model,
        expression_basis=basis,
        expression_names=("flame_000", "flame_001", "flame_002", "flame_003", *CONTROL_NAMES),
        expression_bounds=bounds,
        joint_drive=drive,
    )


@pytest.fixture
def weights() -> np.ndarray:
    return np.array([0.5, -0.7, 0.2, 0.9, 0.3, -0.1, 0.05, 0.2, -0.3, 0.1, 0.25, 0.8, 0.4], np.float32)


def test_controls_are_published_as_joints_and_lids(weights):
    model = free_joint_model()
    params = model.params_of(weights, np.array([np.pi, 0.0, 0.0]), np.array([0.0, 0.0, 0.5]))
    assert model.published_names == ("flame_000", "flame_001", "flame_002", "flame_003")
    np.testing.assert_array_equal(params.expression, weights[:4])
    np.testing.assert_allclose(params.jaw, [0.3, -0.1, 0.05], atol=1e-7)
    np.testing.assert_allclose(params.eyes, [0.2, -0.3, 0.0, 0.1, 0.25, 0.0], atol=1e-7)
    np.testing.assert_allclose(params.eyelids, [0.8, 0.4], atol=1e-7)
    np.testing.assert_allclose(model.weights_of(params), weights, atol=1e-6)
    assert model.neutral_params().expression.shape == (4,)


def test_the_mesh_of_the_parameters_is_what_the_fit_saw(weights):
    model = free_joint_model()
    points = LandmarkModel(model, "toy")
    identity = np.random.default_rng(3).normal(size=model.identity_count).astype(np.float32)
    points.set_identity(identity)
    params = model.params_of(weights, np.zeros(3), np.zeros(3))
    mesh = model.landmarks(model.vertices_head(identity, params), "toy")
    assert np.abs(points.evaluate(weights).T - mesh[points.order]).max() < 2e-7


def test_lids_move_the_mesh_only_where_they_are_controls(weights):
    model = free_joint_model()
    params = model.params_of(weights, np.zeros(3), np.zeros(3))
    identity = np.zeros(model.identity_count, np.float32)
    shut = replace(params, eyelids=np.ones(2, np.float32))
    assert np.abs(model.vertices_head(identity, shut) - model.vertices_head(identity, params)).max() > 1e-4
    driven = toy_model()
    params = driven.neutral_params()
    shut = replace(params, eyelids=np.ones(2, np.float32))
    np.testing.assert_array_equal(driven.vertices_head(identity, shut), driven.vertices_head(identity, params))


def test_jacobians_of_free_joints_with_correctives(weights):
    points = LandmarkModel(free_joint_model(), "toy")
    analytic = points.expression_jacobian(weights).copy()
    step = 1e-2
    for index in range(weights.size):
        up, down = weights.copy(), weights.copy()
        up[index] += step
        down[index] -= step
        numeric = (points.evaluate(up) - points.evaluate(down)) / (up[index] - down[index])
        assert np.abs(analytic[:, :, index] - numeric).max() < 3e-5, points


def test_a_control_before_an_expression_is_refused(tmp_path):
    with np.load(builtin_path(), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    names = list(arrays["expression_names"])
    arrays["expression_names"] = np.array(["jaw_pitch", *names[1:]])
    path = tmp_path / "model.npz"
    np.savez(path, **arrays)
    with pytest.raises(FaceModelError, match="'jaw_pitch' controls a joint or lid and must come after all expressions"):
        read_face_model(path)
