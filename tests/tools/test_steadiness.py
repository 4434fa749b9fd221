"""Jitter and lag of motions made to measure."""

from __future__ import annotations

import numpy as np
import pytest

from tools.evaluation import steadiness


def _motion(x: np.ndarray) -> steadiness.Motion:
    landmarks = np.stack([x, 0.5 * x], axis=-1)[:, None] * np.ones((1, 4, 1))
    return steadiness.Motion(landmarks, np.repeat(x[:, None], 3, axis=1), np.repeat(x[:, None], 52, axis=1))


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_a_shift_in_time_is_found(shift: float) -> None:
    t = np.arange(300.0)
    figures = steadiness.lag_figures([(_motion(10 * np.sin(t / 20)), _motion(10 * np.sin((t - shift) / 20)))])
    assert figures["landmarks_frames"] == pytest.approx(shift, abs=0.03)
    assert figures["pose_frames"] == pytest.approx(shift, abs=0.03)


def test_jitter_is_the_standard_deviation_per_coordinate() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0.0, 0.3, (2000, 5, 2))
    assert steadiness.jitter(points) == pytest.approx(0.3, rel=0.05)


def test_drift_and_motion_of_the_whole_are_told_from_the_rest() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(160.0)
    place = rng.uniform(-50.0, 50.0, (30, 2))
    angle = np.cumsum(rng.normal(0.0, 0.001, len(time)))
    spin = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    rigid = place @ spin + rng.normal(0.0, 0.5, (len(time), 1, 2))
    own = rng.normal(0.0, 0.1, rigid.shape)
    turn = np.repeat(0.01 * time[:, None], 3, axis=1) + rng.normal(0.0, 0.02, (len(time), 3))
    figures = steadiness.still_figures(steadiness.Motion(rigid + own, turn, np.zeros((len(time), 52))))
    assert figures["landmarks_percent"] > 0.4
    assert figures["landmarks_without_pose_percent"] == pytest.approx(0.1, rel=0.1)
    assert figures["pose_std_max_deg"] > 0.3
    assert figures["pose_without_drift_deg"] == pytest.approx(0.02, rel=0.25)


def test_smoother_motion_has_less_rough_segments() -> None:
    rng = np.random.default_rng(0)
    calm, rough = np.zeros(100), rng.normal(0.0, 0.2, 100)
    figures = steadiness.segment_figures([(_motion(rough), _motion(calm))])
    assert figures["smooth_percent"] == 0.0
    assert figures["raw_percent"] > 0.05
