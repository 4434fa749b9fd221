"""How far eyes are shut, from landmarks of eyes that are built here."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.fitting.lids import Lids
from tracker.types import Landmarks

EYES = {"Left": ((385, 386, 387), (380, 374, 373), (362, 263)), "Right": ((160, 159, 158), (144, 145, 153), (133, 33))}
NARROW, COMMON, WIDE = 0.22, 0.33, 0.48


def eyes(left: float, right: float, scale: float = 40.0, yaw: float = 0.0) -> Landmarks:
    """Two eyes with these gaps over their widths, in a head turned by ``yaw``."""
    points = np.zeros((478, 3), np.float32)
    for (upper, lower, corners), gap, x in zip(EYES.values(), (left, right), (1.0, -1.0), strict=True):
        for k in range(3):
            points[upper[k]] = x, -gap / 2.0, 0.0
            points[lower[k]] = x, gap / 2.0, 0.0
        points[corners[0]], points[corners[1]] = (x - 0.5, 0.0, 0.0), (x + 0.5, 0.0, 0.0)
    turn = np.array([[np.cos(yaw), 0.0, np.sin(yaw)], [0.0, 1.0, 0.0], [-np.sin(yaw), 0.0, np.cos(yaw)]])
    return Landmarks("mediapipe478", (scale * points @ turn.T + 100.0).astype(np.float32), np.ones(478, np.float32))


def scores(left: float = 0.1, right: float = 0.1) -> np.ndarray:
    hint = np.full(len(ARKIT_NAMES), 0.3, np.float32)
    hint[[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]] = left, right
    return hint


def shut(lids: Lids, landmarks: Landmarks, hint: np.ndarray, *, learn: bool = True) -> tuple[float, float]:
    heard = lids(landmarks, hint, learn=learn)
    return float(heard[ARKIT_INDEX["eyeBlinkLeft"]]), float(heard[ARKIT_INDEX["eyeBlinkRight"]])


@pytest.mark.parametrize("gap", [NARROW, COMMON, WIDE])
@pytest.mark.parametrize("yaw", [0.0, 0.5])
def test_every_person_opens_and_shuts_the_eyes_whole(gap, yaw):
    lids = Lids("mediapipe478")
    for _ in range(60):
        shut(lids, eyes(gap, gap, yaw=yaw), scores())
    assert max(shut(lids, eyes(gap, gap, yaw=yaw), scores())) < 0.02
    assert min(shut(lids, eyes(0.25 * gap, 0.25 * gap, yaw=yaw), scores(0.4, 0.4))) == 1.0
    assert max(shut(lids, eyes(0.62 * gap, 0.62 * gap, yaw=yaw), scores(0.4, 0.4))) < 0.2


def test_a_wink_shuts_one_eye():
    lids = Lids("mediapipe478")
    for _ in range(30):
        shut(lids, eyes(COMMON, COMMON), scores())
    left, right = shut(lids, eyes(COMMON, 0.05), scores(0.1, 0.7))
    assert left < 0.02 and right == 1.0


def test_more_shut_is_never_less_of_a_blink():
    lids = Lids("mediapipe478")
    values = [shut(lids, eyes(gap, gap), scores(), learn=False)[0] for gap in np.linspace(0.0, 0.5, 40)]
    assert values == sorted(values, reverse=True) and values[0] == 1.0 and values[-1] == 0.0


def test_eyes_that_stay_shut_or_are_covered_teach_nothing_and_all_is_forgotten():
    lids = Lids("mediapipe478")
    for _ in range(200):
        shut(lids, eyes(0.05, 0.05), scores(0.7, 0.7))
        shut(lids, eyes(WIDE, WIDE), scores(), learn=False)
    assert lids.open_gap == pytest.approx([COMMON, COMMON], abs=0.005)
    for _ in range(50):
        shut(lids, eyes(WIDE, WIDE), scores())
    assert lids.open_gap == pytest.approx([WIDE, WIDE], abs=0.02)
    lids.reset()
    assert lids.open_gap == [COMMON, COMMON]


def test_other_scores_and_the_callers_array_stay_as_they_are():
    hint = scores(0.4, 0.4)
    heard = Lids("mediapipe478")(eyes(0.1, 0.1), hint)
    others = np.ones(len(hint), bool)
    others[[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]] = False
    assert (heard[others] == hint[others]).all() and hint[ARKIT_INDEX["eyeBlinkLeft"]] == np.float32(0.4)


def test_without_lids_to_measure_the_scores_decide():
    lids = Lids("ibug68")
    points = Landmarks("ibug68", np.zeros((68, 3), np.float32), np.ones(68, np.float32))
    values = [shut(lids, points, scores(score, 0.0)) for score in (0.0, 0.2, 0.4, 0.65, 1.0)]
    assert [left for left, _ in values] == sorted(left for left, _ in values)
    assert values[1] == (0.0, 0.0) and values[3] == (1.0, 0.0)
