from __future__ import annotations

import numpy as np
import pytest
import torch

from tracker.face_model.store import load_face_model
from trainer.metrics.calibration import sigma_calibration
from trainer.metrics.landmarks import by_subset, landmark_errors, mlme, mrle
from trainer.metrics.vertices import face_vertices, head_vertices, moved_together, mve


def test_mean_landmark_error_leaves_out_what_is_unknown() -> None:
    truth = torch.zeros(2, 3, 2)
    points = torch.tensor([3.0, 4.0]).expand(2, 3, 2).clone()
    points[0, 0] = 0.0
    assert mlme(points, truth) == pytest.approx(25 / 6)
    truth[0, 0] = torch.nan
    assert mlme(points, truth) == pytest.approx(5.0)
    assert mrle(points, points) == 0.0
    assert np.isnan(mlme(points, torch.full_like(truth, torch.nan)))
    errors = landmark_errors(points, truth)
    found = by_subset(errors, {"first": torch.tensor([0]), "rest": torch.tensor([1, 2])})
    assert found == {"first": pytest.approx(5.0), "rest": pytest.approx(5.0)}


def test_vertex_error_of_a_moved_face() -> None:
    truth = np.random.default_rng(0).normal(size=(2, 10, 3))
    moved = truth + np.array([0.0, 0.03, 0.04])
    chosen = np.array([1, 5, 7])
    assert mve(moved, truth, chosen) == pytest.approx(0.05)
    assert mve(moved_together(moved, truth, chosen), truth, chosen) == pytest.approx(0.0, abs=1e-12)


def test_face_and_head_of_the_built_in_head() -> None:
    model = load_face_model()
    face, head = face_vertices(model), head_vertices(model)
    assert set(face) < set(head)
    assert len(head) < model.vertex_count
    neck = model.region_names.index("neck")
    assert not model.regions[head, neck].any()


def test_calibration_finds_honest_careful_and_confident_sigmas() -> None:
    torch.manual_seed(0)
    sigma = (0.01 + 0.05 * torch.rand(50, 200, 1)).expand(50, 200, 2)
    truth = torch.zeros(50, 200, 2)
    points = sigma * torch.randn(50, 200, 2)
    honest = sigma_calibration(points, sigma, truth)
    np.testing.assert_allclose(honest.actual, honest.predicted, rtol=0.15)
    assert honest.ratio == pytest.approx(1.0, rel=0.03)
    assert 0.3 < honest.rank_correlation < 1.0
    assert sigma_calibration(points, sigma / 2, truth).ratio == pytest.approx(0.5, rel=0.03)
    shuffled = sigma[torch.randperm(50)][:, torch.randperm(200)]
    assert abs(sigma_calibration(points, shuffled, truth).rank_correlation) < 0.05
    truth[0, 0] = torch.nan
    assert len(sigma_calibration(points, sigma, truth).actual) == 10


def test_too_few_landmarks_are_refused() -> None:
    one = torch.zeros(1, 3, 2)
    with pytest.raises(ValueError, match="at least 10 known landmarks"):
        sigma_calibration(one, one + 1, one)
