"""The parts of the appearance evaluation: drawn occluders, where they go, and how deviations are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.appearance.faces import CAMERA, face_of, params_at
from tools.evaluation.appearance import episodes, occlusion
from tracker.face_model import load_face_model
from tracker.rendering.occluders import KINDS, make

SKIN = np.array([200.0, 150.0, 120.0])


def landmarks() -> np.ndarray:
    points = np.full((478, 3), 100.0, np.float32)
    points[33, :2], points[263, :2] = (80.0, 90.0), (120.0, 90.0)
    return points


@pytest.mark.parametrize("kind", KINDS)
def test_an_occluder_covers_its_place_and_leaves_the_rest(kind) -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    image, cover = make(kind, SKIN).composite(grey, np.array([160.0, 120.0]), 40.0, 0.2)
    assert image.shape == grey.shape and image.dtype == np.uint8
    assert 0.02 < (cover > 0.5).mean() < 0.6
    far = cover < 0.01
    # A faint shadow at most.
    assert np.abs(image[far].astype(int) - 128).max() <= 45
    again, _ = make(kind, SKIN).composite(grey, np.array([160.0, 120.0]), 40.0, 0.2)
    np.testing.assert_array_equal(image, again)


def test_a_hand_has_the_colour_of_the_skin() -> None:
    image, cover = make("hand", SKIN).composite(np.zeros((240, 320, 3), np.uint8), np.array([160.0, 120.0]), 60.0, 0.0)
    mean = image[cover > 0.95].mean(axis=0)
    np.testing.assert_allclose(mean / mean.sum(), SKIN / SKIN.sum(), atol=0.02)
    assert 0.6 < mean.sum() / SKIN.sum() < 1.15


def test_the_first_second_of_a_clip_stays_clean() -> None:
    images = [np.full((200, 200, 3), 90, np.uint8)] * (episodes.CLEAN_FRAMES + episodes.PASS_FRAMES)
    out = episodes.occlude(images, [landmarks()] * len(images), 1.0)
    assert all(cover is None for cover in out.cover[: episodes.CLEAN_FRAMES])
    assert all(cover is not None for cover in out.cover[episodes.CLEAN_FRAMES :])
    middle = out.cover[episodes.CLEAN_FRAMES + episodes.PASS_FRAMES // 2]
    assert middle is not None and middle[60:140, 60:140].mean() > 0.2


def test_deviation_is_what_moved_and_only_where_something_is_in_front() -> None:
    compare = occlusion.Comparison(load_face_model())
    here, there = face_of(), face_of(params_at(x=0.004))
    cover = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    cover[:, : CAMERA.width // 2] = 1.0
    seen = np.zeros((478, 3), np.float32)
    seen[33, 0], seen[263, 0] = 100.0, 200.0
    here = replace(here, landmarks=replace(here.landmarks, points=seen))
    figures = compare(CAMERA, [here] * 3, [there, there, None], [cover, None, cover], ["hand", None, "hand"]).figures()
    assert figures["all"]["frames"] == 1
    assert figures["all"]["frames_lost"] == 1
    assert figures["hand"]["position_mm"] == pytest.approx(4.0, abs=0.01)
    assert figures["hand"]["rotation_deg"] == pytest.approx(0.0, abs=1e-3)
    # 4 mm at 0.4 m and 400 px focal length are 4 px, of 100 px between the eyes.
    assert figures["hand"]["visible_percent"] == pytest.approx(4.0, rel=0.1)


def test_ratios_compare_what_both_have() -> None:
    off = {"hand": {"rotation_deg": 4.0, "expression": 0.0}, "hair": {"rotation_deg": 1.0}}
    on = {"hand": {"rotation_deg": 1.0, "expression": 0.1}}
    assert occlusion.ratios(off, on) == {"hand": {"rotation_deg": 0.25}}
