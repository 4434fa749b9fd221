"""The evaluation's measures on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tools.evaluation import metrics, sequences
from tracker.rotations import matrix_from_rotvec


def test_rotation_errors_are_angles() -> None:
    true = np.stack([np.eye(3)] * 3)
    found = np.stack([matrix_from_rotvec(np.array([0.0, np.radians(a), 0.0])) for a in (0, 5, 90)])
    assert metrics.rotation_errors_deg(found, true, remove_offset=False) == pytest.approx([0, 5, 90], abs=1e-6)


def test_a_constant_difference_of_axes_is_no_error() -> None:
    rng = np.random.default_rng(0)
    true = np.stack([matrix_from_rotvec(v) for v in rng.normal(size=(20, 3))])
    axes = matrix_from_rotvec(np.array([0.2, -0.1, 0.05]))
    assert metrics.rotation_errors_deg(true @ axes, true, remove_offset=True).max() < 1e-5
    assert metrics.rotation_errors_deg(true @ axes, true, remove_offset=False).min() > 5.0


def test_weight_score() -> None:
    true = np.concatenate([np.zeros(10), np.linspace(0, 1, 10)])
    half = metrics.weight_score(0.5 * true, true)
    assert half.correlation == pytest.approx(1.0)
    assert half.gain == pytest.approx(0.5)
    assert half.precision == pytest.approx(1.0, abs=0.02)
    assert metrics.weight_score(1.0 - true, true).correlation == pytest.approx(-1.0)
    assert np.isnan(metrics.weight_score(np.zeros(20), true).correlation)


def test_similarity_is_undone() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    moved = 1.7 * points @ matrix_from_rotvec(np.array([0.3, 0.2, -0.4])).T + [1.0, 2.0, 3.0]
    assert metrics.aligned(points, moved) == pytest.approx(moved)


def test_surface_errors_measure_along_the_normal_only() -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40))
    bowl = np.stack([x, y, 0.5 * (x**2 + y**2)], axis=-1).reshape(-1, 3)
    normals = np.stack([-x, -y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    inside = np.hypot(bowl[:, 0], bowl[:, 1]) < 0.7
    start = (1.0, np.eye(3), np.array([0.02, -0.01, 0.03]))
    assert metrics.surface_errors(bowl[inside], bowl, normals, start).mean() < 5e-3
    dented = bowl.copy()
    dented[np.hypot(bowl[:, 0], bowl[:, 1]) < 0.2, 2] += 0.1
    assert metrics.surface_errors(dented[inside], bowl, normals, start).max() > 0.05


def test_every_expression_has_its_turn_and_runs_repeat() -> None:
    weights = sequences.expressions(3)
    assert np.array_equal(weights, sequences.expressions(3))
    assert weights.shape == (sequences.frame_count(), 52)
    assert set(np.flatnonzero(weights.max(axis=0) < 0.3)) == {51}, "all but tongueOut move"
    assert (weights[:, 18] <= weights[:, 17]).all(), "mouthClose never exceeds jawOpen"
