"""What scores do to the prior of each weight."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy_model import EXPRESSIONS, toy_model
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.fitting.expression_prior import SILENT_SCORES, ExpressionPrior, gaze_coupling, shown_by_landmarks


def scores(**values: float) -> np.ndarray:
    hint = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in values.items():
        hint[ARKIT_INDEX[name]] = value
    return hint


def test_without_scores_everything_is_expected_at_rest_and_held_loosely():
    prior = ExpressionPrior(ARKIT_NAMES)
    mean, sigma = prior.given(None)
    _, with_scores = prior.given(scores())
    assert not mean.any()
    assert (sigma > 0.0).all() and (with_scores > 0.0).all()
    dimple = ARKIT_NAMES.index("mouthDimpleLeft")
    assert sigma[dimple] > with_scores[dimple]


def test_means_follow_the_scores_in_the_models_own_order():
    names = ("mouthPucker", "not in ARKit", "jawOpen")
    mean, _ = ExpressionPrior(names).given(scores(jawOpen=0.4, mouthPucker=0.7))
    assert mean == pytest.approx([0.7, 0.0, 0.4])


@pytest.mark.parametrize("name", sorted(SILENT_SCORES | {"eyeLookInLeft", "eyeLookOutRight"}))
def test_scores_that_say_nothing_are_not_listened_to(name):
    mean, _ = ExpressionPrior(ARKIT_NAMES).given(scores(**{name: 1.0}))
    assert mean[ARKIT_INDEX[name]] == 0.0


def test_eyes_that_look_the_same_way_cost_less_than_eyes_that_part():
    model = toy_model()
    coupling = gaze_coupling(model.joint_drive)
    assert np.allclose(coupling, coupling.T) and np.linalg.eigvalsh(coupling).min() > -1e-9
    up_left_only = np.zeros(len(EXPRESSIONS))
    up_left_only[EXPRESSIONS.index("eyeLookUpLeft")] = 0.5
    assert up_left_only @ coupling @ up_left_only > 1.0
    smile = np.zeros(len(EXPRESSIONS))
    smile[EXPRESSIONS.index("mouthSmileLeft")] = 1.0
    assert smile @ coupling @ smile == 0.0


def test_scores_count_from_the_level_at_rest():
    prior = ExpressionPrior(ARKIT_NAMES)
    brow = ARKIT_INDEX["browInnerUp"]
    means = [prior.given(scores(browInnerUp=score), scores(browInnerUp=0.4))[0][brow] for score in (0.2, 0.4, 0.6, 1.0)]
    assert means[0] == means[1] == 0.0 and 0.1 < means[2] < means[3] <= 1.0


def test_both_eyes_glance_by_the_same_and_shut_ones_do_not():
    prior = ExpressionPrior(ARKIT_NAMES)
    left, right = ARKIT_INDEX["eyeLookDownLeft"], ARKIT_INDEX["eyeLookDownRight"]
    down, _ = prior.given(scores(eyeLookDownLeft=0.8, eyeLookDownRight=0.4))
    shut, _ = prior.given(scores(eyeLookDownLeft=0.8, eyeLookDownRight=0.4, eyeBlinkLeft=0.7, eyeBlinkRight=0.7))
    assert down[left] == down[right] > 0.2
    assert shut[left] == shut[right] == 0.0


def test_landmarks_show_no_more_of_an_expression_than_there_is():
    shown = shown_by_landmarks((*ARKIT_NAMES, "not in ARKit"))
    assert (shown > 0.3).all() and (shown <= 1.0).all() and shown[-1] == 1.0
    assert shown[ARKIT_INDEX["eyeLookUpLeft"]] == shown[ARKIT_INDEX["eyeLookUpRight"]] < 1.0
