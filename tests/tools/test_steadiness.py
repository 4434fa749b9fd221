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


def test_smoother_motion_has_less_rough_segments() -> None:
    rng = np.random.default_rng(0)
    calm, rough = np.zeros(100), rng.normal(0.0, 0.2, 100)
    figures = steadiness.segment_figures([(_motion(rough), _motion(calm))])
    assert figures["smooth_percent"] == 0.0
    assert figures["raw_percent"] > 0.05
