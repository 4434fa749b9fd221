"""What is believed of covered landmarks and expressions."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.fitting.covering import HeldExpression, gated, lowered, widened

INFLUENCE = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], np.float32)


def test_covered_landmarks_keep_little_weight_and_never_none() -> None:
    weights = lowered(np.full(3, 2.0, np.float32), np.array([0.0, 0.5, 1.0], np.float32))
    assert weights[0] == 2.0
    assert weights[1] == pytest.approx(0.5)
    assert 0.0 < weights[2] <= 0.02


def test_sigma_grows_with_cover_and_with_doubt() -> None:
    sigma = np.ones(2, np.float32)
    assert widened(sigma, np.array([0.0, 1.0], np.float32), 0.0).tolist() == [1.0, 4.0]
    assert widened(sigma, None, 1.0).tolist() == [3.0, 3.0]


def test_cover_counts_only_while_the_fit_is_in_doubt() -> None:
    covered = np.array([0.8], np.float32)
    assert gated(covered, 0.0)[0] == 0.0
    assert gated(covered, 1.0)[0] == covered[0]


def test_hidden_weights_keep_their_value_and_seen_ones_move() -> None:
    held = HeldExpression(INFLUENCE)
    rest = np.array([0.2, 0.2, 0.0], np.float32)
    for _ in range(5):
        held(rest, None, 0.0)
    now = held(np.array([0.9, 0.9, 0.5], np.float32), np.array([1.0, 1.0, 0.0, 0.0], np.float32), 0.0)
    assert now[0] == pytest.approx(0.2, abs=0.02)
    assert now[1] == pytest.approx(0.9)
    # A weight that no landmark shows cannot be hidden by one.
    assert now[2] == pytest.approx(0.5)


def test_a_held_weight_relaxes_and_comes_back_at_once() -> None:
    held = HeldExpression(INFLUENCE)
    covered = np.ones(4, np.float32)
    smile = np.array([1.0, 0.0, 0.0], np.float32)
    for _ in range(5):
        held(smile, None, 0.0)
    values = [float(held(smile, covered, 1.0)[0]) for _ in range(300)]
    assert values[0] > 0.9 and values[-1] < 0.2
    assert held(smile, None, 0.0)[0] == 1.0


def test_after_a_reset_nothing_is_held() -> None:
    held = HeldExpression(INFLUENCE)
    held(np.ones(3, np.float32), None, 0.0)
    held.reset()
    assert held(np.zeros(3, np.float32), np.ones(4, np.float32), 1.0).max() == 0.0
