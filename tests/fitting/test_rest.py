"""What is learned as a person's own, what is not, and what it does to the landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.fitting.landmark_choice import BROWS, IRISES, LIDS, LIPS
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import FitState
from tracker.fitting.rest import RestingFace
from tracker.rotations import matrix_from_rotvec

CAMERA = Camera.for_image(640, 480)
FRONTAL = np.diag([1.0, -1.0, -1.0])
SET = "mediapipe478"


@pytest.fixture(scope="module")
def points() -> LandmarkModel:
    return LandmarkModel(load_face_model("builtin"), SET)


@pytest.fixture
def rest(points) -> RestingFace:
    return RestingFace(points, SET, load_face_model("builtin").expression_names)


def scores(**values: float) -> np.ndarray:
    hint = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in values.items():
        hint[ARKIT_INDEX[name]] = value
    return hint


def pose(yaw: float = 0.0, expression: np.ndarray | None = None) -> FitState:
    weights = np.zeros(len(ARKIT_NAMES), np.float32) if expression is None else expression
    return FitState(FRONTAL @ matrix_from_rotvec(np.array([0.0, yaw, 0.0])), np.array([0.0, 0.0, 0.5]), weights)


def projected(points: LandmarkModel, state: FitState, offset: np.ndarray | float = 0.0) -> np.ndarray:
    head = points.evaluate(state.expression) + offset
    return CAMERA.project((state.rotation @ head).T + state.translation).astype(np.float32)


def raised(points: LandmarkModel, chosen: tuple[int, ...], by_m: float) -> np.ndarray:
    offset = np.zeros((3, points.count), np.float32)
    offset[1, np.isin(points.order, chosen)] = by_m
    return offset


def watch(rest: RestingFace, points: LandmarkModel, offset: np.ndarray, hint: np.ndarray, frames: int = 200) -> None:
    state = pose()
    seen, fitted = projected(points, state, offset), projected(points, state)
    for _ in range(frames):
        rest.hear(hint)
        rest.see(hint, state, np.zeros_like(state.expression), seen, fitted, CAMERA)


@pytest.mark.parametrize("part", [BROWS, LIDS, LIPS])
def test_landmarks_that_always_lie_off_are_taken_back_in_every_pose(rest, points, part):
    offset = np.zeros((3, points.count), np.float32)
    where = np.isin(points.order, part)
    offset[:2, where] = np.random.default_rng(4).normal(0.0, 0.0015, (2, int(where.sum())))
    watch(rest, points, offset, scores())
    chosen = np.isin(points.order, part)
    for yaw in (-0.4, 0.0, 0.4):
        state = pose(yaw)
        away = projected(points, state, offset) - projected(points, state)
        left = np.linalg.norm(away - rest.shift_px(state, CAMERA), axis=1)[chosen]
        assert left.mean() < 0.35 * np.linalg.norm(away, axis=1)[chosen].mean()


def test_offsets_that_look_like_another_pose_are_left_to_the_pose(rest, points):
    everything = (*BROWS, *LIDS, *LIPS, *IRISES)
    watch(rest, points, raised(points, everything, 0.003), scores())
    # Irises that look straight ahead are nobody's who looks at a screen; that much is learned.
    assert np.abs(rest.offset[:, ~np.isin(points.order, IRISES)]).max() < 2e-4
    assert np.abs(rest.offset[1:]).max() < 2e-4


def test_what_neither_speaks_nor_moves_anchors_the_pose_and_is_left_alone(rest, points):
    others = tuple(index for index in points.order if index not in {*BROWS, *LIDS, *LIPS, *IRISES})
    watch(rest, points, raised(points, others, 0.003), scores())
    assert not rest.offset[:, np.isin(points.order, others)].any()


def test_a_smile_is_no_resting_mouth(rest, points):
    watch(rest, points, raised(points, LIPS, 0.004), scores(mouthSmileLeft=0.8, mouthSmileRight=0.8))
    assert np.abs(rest.offset[:, np.isin(points.order, LIPS)]).max() < 2e-4


def test_shut_eyes_teach_nothing_about_lids(rest, points):
    watch(rest, points, raised(points, LIDS, -0.004), scores(eyeBlinkLeft=0.7, eyeBlinkRight=0.7))
    assert np.abs(rest.offset[:, np.isin(points.order, LIDS)]).max() < 2e-4


def test_looking_aside_for_long_stays_looking_aside(rest, points):
    aside = np.zeros((3, points.count), np.float32)
    aside[0, np.isin(points.order, IRISES)] = 0.003
    watch(rest, points, aside, scores())
    irises = np.isin(points.order, IRISES)
    assert abs(rest.offset[0, irises].mean()) < 2e-4


def test_eyes_that_seem_to_part_or_cross_are_taken_to_look_at_one_thing(rest, points):
    apart = np.zeros((3, points.count), np.float32)
    irises = np.isin(points.order, IRISES)
    left = points.neutral_points()[:, 0] > 0.0
    apart[0, irises] = np.where(left, 0.002, -0.002)[irises]
    watch(rest, points, apart, scores())
    between = rest.offset[0, irises & left].mean() - rest.offset[0, irises & ~left].mean()
    assert between > 0.003
    assert abs(rest.offset[0, irises].mean()) < 2e-4


def test_an_expression_that_the_scores_know_is_not_taken_for_an_offset(rest, points):
    names = load_face_model("builtin").expression_names
    weights = np.zeros(len(names), np.float32)
    weights[names.index("browInnerUp")] = 0.8
    state = pose(expression=weights)
    seen = projected(points, state)
    for _ in range(200):
        rest.hear(scores())
        rest.see(scores(), state, weights, seen, seen, CAMERA)
    assert np.abs(rest.offset[:, np.isin(points.order, BROWS)]).max() < 2e-4


def test_brows_that_rest_high_are_heard_as_resting_and_a_raise_still_counts(rest):
    for _ in range(200):
        rest.hear(scores(browInnerUp=0.4))
    assert 0.35 < rest.levels[ARKIT_INDEX["browInnerUp"]] < 0.401
    for _ in range(10):
        rest.hear(scores(browInnerUp=0.9))
    assert rest.levels[ARKIT_INDEX["browInnerUp"]] < 0.45
    assert rest.levels[ARKIT_INDEX["mouthSmileLeft"]] == 0.0


def test_nothing_is_learned_from_one_frame_and_all_is_forgotten(rest, points):
    offset = raised(points, BROWS, 0.003)
    watch(rest, points, offset, scores(browInnerUp=0.5), frames=1)
    assert np.abs(rest.offset).max() < 0.001 and rest.levels.max() < 0.2
    watch(rest, points, offset, scores(browInnerUp=0.5))
    rest.reset()
    assert not rest.offset.any() and not rest.levels.any() and not rest.shift_px(pose(), CAMERA).any()


def test_what_identity_comes_to_explain_is_no_offset_any_more(rest, points):
    everything = np.random.default_rng(5).normal(0.0, 0.001, (points.count, 3)).astype(np.float32)
    watch(rest, points, everything.T, scores())
    lips = np.isin(points.order, LIPS)
    before = np.abs(rest.offset[:, lips]).mean()
    rest.follow(everything)
    assert np.abs(rest.offset[:2, lips]).mean() < 0.35 * before


def test_the_noise_of_scores_at_rest_is_no_expression(rest):
    noise = np.random.default_rng(6).normal(0.6, 0.03, 200)
    for score in noise:
        rest.hear(scores(mouthRollUpper=score))
    level = rest.levels[ARKIT_INDEX["mouthRollUpper"]]
    assert (noise < level).mean() > 0.95 and level < 0.7


def test_levels_do_not_creep_after_the_first_frames(rest):
    levels = []
    for _ in range(150):
        rest.hear(scores(mouthRollUpper=0.7))
        levels.append(rest.levels[ARKIT_INDEX["mouthRollUpper"]])
    assert levels[20] == pytest.approx(0.7, abs=0.005) and levels[-1] == pytest.approx(levels[20], abs=0.005)


def test_one_frame_in_four_is_learned_from_once_the_person_is_known(rest, points):
    watch(rest, points, raised(points, BROWS, 0.0), scores(), frames=40)
    state = pose()
    seen, fitted = projected(points, state, raised(points, BROWS, 0.003)), projected(points, state)
    changes = []
    for _ in range(8):
        before = rest.offset.copy()
        rest.hear(scores())
        rest.see(scores(), state, np.zeros_like(state.expression), seen, fitted, CAMERA)
        changes.append(bool((rest.offset != before).any()))
    assert sum(changes) == 2


def test_another_landmark_set_has_no_resting_regions(points):
    rest = RestingFace(points, "ibug68", load_face_model("builtin").expression_names)
    watch(rest, points, raised(points, BROWS, 0.003), scores())
    assert not rest.offset.any()
