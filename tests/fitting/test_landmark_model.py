"""The landmark points must be the mesh's, and their derivatives those of finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy_model import toy_model
from tracker.fitting.landmark_model import LandmarkModel


@pytest.fixture(params=[False, True], ids=["plain", "pose correctives"])
def setup(request) -> tuple[LandmarkModel, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    model = toy_model(correctives=request.param)
    points = LandmarkModel(model, "toy")
    identity = rng.normal(size=model.identity_count).astype(np.float32)
    points.set_identity(identity)
    return points, identity, rng.uniform(0.1, 0.9, model.expression_count).astype(np.float32)


@pytest.mark.parametrize("correctives", [False, True])
def test_points_equal_the_skinned_mesh(correctives):
    rng = np.random.default_rng(2)
    model = toy_model(correctives=correctives)
    points = LandmarkModel(model, "toy")
    identity = rng.normal(size=model.identity_count).astype(np.float32)
    points.set_identity(identity)
    expression = rng.uniform(0.1, 0.9, model.expression_count).astype(np.float32)
    params = model.with_joint_rotations(replace(model.neutral_params(), expression=expression))
    mesh = model.landmarks(model.vertices_head(identity, params), "toy")
    assert np.abs(points.evaluate(expression).T - mesh[points.order]).max() < 2e-7


def test_expression_jacobian_matches_finite_differences(setup):
    points, _, expression = setup
    analytic = points.expression_jacobian(expression).copy()
    step = 1e-2
    for e in range(expression.size):
        up, down = expression.copy(), expression.copy()
        up[e] += step
        down[e] -= step
        numeric = (points.evaluate(up) - points.evaluate(down)) / (up[e] - down[e])
        assert np.abs(analytic[:, :, e] - numeric).max() < 3e-5


def test_identity_jacobian_matches_finite_differences(setup):
    points, identity, expression = setup
    analytic = points.identity_jacobian(expression)
    base = points.evaluate(expression)
    for i in range(identity.size):
        moved = identity.copy()
        moved[i] += 1.0
        points.set_identity(moved)
        assert np.abs(analytic[:, :, i] - (points.evaluate(expression) - base)).max() < 1e-6
