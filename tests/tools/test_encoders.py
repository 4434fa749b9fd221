"""How encoders are compared: deviations under occluders, calibration by deciles, steadiness of bare points."""

from __future__ import annotations

import numpy as np
import pytest

from tools.evaluation import encoders
from tools.evaluation.tracking import Encoded
from tracker.types import FaceObservation, Landmarks


def _seen(points: np.ndarray) -> Encoded:
    landmarks = Landmarks("mediapipe478", points.astype(np.float32), np.ones(len(points), np.float32))
    return Encoded(0, 0, 200, 200, [FaceObservation(0, 0, landmarks, 1.0, np.zeros(4, np.float32))])


def _face() -> np.ndarray:
    points = np.random.default_rng(0).uniform(60.0, 140.0, (478, 3))
    points[33], points[263] = (75.0, 80.0, 0.0), (125.0, 80.0, 0.0)
    return points


def test_a_common_shift_is_told_from_points_that_stray_under_the_thing() -> None:
    points = _face()
    cover = np.zeros((200, 200), np.float32)
    cover[110:, :] = 1.0
    shifted = points + np.array([1.0, 0.0, 0.0])
    (row,) = encoders.network_deviations([_seen(points)], [_seen(shifted)], [cover])
    assert row["visible_percent"] == pytest.approx(2.0, abs=1e-3)  # of the 50 px between the eyes
    assert row["common_shift_percent"] == pytest.approx(2.0, abs=1e-3)
    strayed = points.copy()
    strayed[points[:, 1] >= 110, 1] += 5.0
    (row,) = encoders.network_deviations([_seen(points)], [_seen(strayed)], [cover])
    assert row["visible_percent"] == 0.0
    assert row["hidden_percent"] == pytest.approx(10.0, abs=1e-3)


def test_frames_without_anything_in_front_do_not_count() -> None:
    points = _face()
    bare, faint = None, np.zeros((200, 200), np.float32)
    assert encoders.network_deviations([_seen(points)] * 2, [_seen(points)] * 2, [bare, faint]) == []


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_deciles_show_how_far_predictions_are_off(factor: float) -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.01, 0.05, (200, 51))
    errors = rng.normal(0.0, 1.0, (200, 51, 2)) * sigma[..., None] * factor
    figures = encoders.decile_ratios(errors, sigma)
    ratios = [float(each) for each in figures["actual_over_predicted"].split(", ")]
    assert ratios == pytest.approx([factor] * 10, rel=0.1)
    assert figures["deciles_within_20_percent"] == (10 if factor == 1.0 else 0)
    assert figures["rank_correlation"] > 0.3


def test_jitter_of_bare_points_is_in_percent_of_the_eye_distance() -> None:
    rng = np.random.default_rng(0)
    stream = [_seen(_face() + rng.normal(0.0, 0.5, (478, 3))) for _ in range(240)]
    assert encoders.network_jitter(stream) == pytest.approx(1.0, rel=0.1)
    assert encoders.network_roughness(stream) == pytest.approx(1.0, rel=0.15)
