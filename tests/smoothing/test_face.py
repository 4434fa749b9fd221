"""Smoothing of whole faces: rotations across the anchor, gaps, odd clocks."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.fitting.residuals import FitState
from tracker.rotations import angle_between, matrix_from_rotvec
from tracker.smoothing import FaceSmoother, SmoothingConfig

NAMES = ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft")
FRAME_NS = 33_333_333
FRONTAL = np.diag([1.0, -1.0, -1.0])


def state(yaw: float = 0.0, x: float = 0.0, weights: tuple[float, ...] = (0.0, 0.0, 0.0)) -> FitState:
    rotation = FRONTAL @ matrix_from_rotvec(np.array([0.0, yaw, 0.0]))
    return FitState(rotation, np.array([x, 0.0, 0.6]), np.array(weights, np.float32))


def test_the_first_state_passes_unchanged():
    given = state(0.3, 0.1, (0.2, 0.8, 0.1))
    out = FaceSmoother(NAMES)(given, 0)
    assert out.rotation == pytest.approx(given.rotation)
    assert out.translation == pytest.approx(given.translation)
    assert out.expression == pytest.approx(given.expression)


def test_without_smoothing_states_pass_untouched():
    smoother = FaceSmoother(NAMES, SmoothingConfig(enabled=False))
    for index in range(3):
        given = state(0.1 * index)
        assert smoother(given, index * FRAME_NS) is given


def test_a_head_that_turns_all_the_way_round_is_followed_without_a_jump():
    smoother = FaceSmoother(NAMES)
    before = None
    for index in range(120):
        yaw = 2.0 * np.pi * index / 119
        out = smoother(state(yaw), index * FRAME_NS)
        assert out.rotation @ out.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
        if before is not None:
            assert angle_between(before, out.rotation) < 0.12
        before = out.rotation
        assert angle_between(out.rotation, state(yaw).rotation) < 0.15


def test_a_jittering_head_is_quietened():
    rng = np.random.default_rng(0)
    smoother = FaceSmoother(NAMES)
    given, out = [], []
    for index in range(150):
        noisy = state(rng.normal(0, 0.005), rng.normal(0, 0.0005), tuple(rng.normal(0.3, 0.01, 3)))
        smooth = smoother(noisy, index * FRAME_NS)
        given.append(np.concatenate([noisy.translation[:1], noisy.expression, noisy.rotation[0, 2:]]))
        out.append(np.concatenate([smooth.translation[:1], smooth.expression, smooth.rotation[0, 2:]]))
    assert (np.std(out[50:], axis=0) < 0.6 * np.std(given[50:], axis=0)).all()


@pytest.mark.parametrize("t_ns", [-FRAME_NS, 10 * FRAME_NS + 600_000_000, 3_600_000_000_000])
def test_a_gap_or_a_clock_that_runs_back_starts_afresh(t_ns):
    smoother = FaceSmoother(NAMES)
    for index in range(10):
        smoother(state(), index * FRAME_NS)
    out = smoother(state(0.5, 0.2, (1.0, 1.0, 1.0)), t_ns)
    assert out.rotation == pytest.approx(state(0.5).rotation)
    assert out.translation[0] == pytest.approx(0.2)
    assert out.expression == pytest.approx([1.0, 1.0, 1.0])


def test_two_frames_of_one_instant_give_finite_values():
    smoother = FaceSmoother(NAMES)
    smoother(state(), 0)
    out = smoother(state(0.2, 0.1, (0.5, 0.5, 0.5)), 0)
    assert np.isfinite(out.rotation).all() and np.isfinite(out.translation).all() and np.isfinite(out.expression).all()
