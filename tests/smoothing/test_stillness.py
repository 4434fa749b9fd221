"""Whether a picture of a face stands still, and what the filters make of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.appearance.faces import lit_picture
from tracker.fitting.residuals import FitState
from tracker.smoothing import FaceSmoother, PictureStillness

BOX = np.array([90.0, 50.0, 130.0, 150.0])
FRAME_NS = 33_000_000
NOISE = 2.0


def scene(rng: np.random.Generator) -> NDArray[np.float32]:
    """A rendered head with pores and stubble."""
    light = np.zeros((9, 3), np.float32)
    light[0], light[2], light[3] = 2.2, -0.7, 0.3
    picture = lit_picture(light).astype(np.float32)
    return (
        picture
        + cv2.GaussianBlur(rng.normal(0.0, 60.0, (*picture.shape[:2], 1)).astype(np.float32), (0, 0), 2)[..., None]
    )


def shown(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(picture + rng.normal(0.0, NOISE, picture.shape) + 0.5, 0, 255).astype(np.uint8)


def shifted(picture: NDArray[np.float32], x: float) -> NDArray[np.float32]:
    size = picture.shape[1], picture.shape[0]
    return cv2.warpAffine(picture, np.array([[1.0, 0.0, x], [0.0, 1.0, 0.0]]), size, borderMode=cv2.BORDER_REPLICATE)


def watched(pictures: list[NDArray[np.float32]], seed: int = 1) -> list[bool]:
    rng, stillness = np.random.default_rng(seed), PictureStillness()
    return [stillness(shown(picture, rng), BOX) for picture in pictures]


@pytest.fixture(scope="module")
def still() -> NDArray[np.float32]:
    return scene(np.random.default_rng(0))


def test_a_still_face_is_known_to_be_still_from_the_fourth_frame_on(still: NDArray[np.float32]) -> None:
    seen = watched([still] * 60)
    assert not any(seen[:3])
    assert np.mean(seen[3:]) > 0.9


@pytest.mark.parametrize("gain", [0.6, 1.1])
def test_a_step_of_exposure_is_no_motion(still: NDArray[np.float32], gain: float) -> None:
    assert np.mean(watched([still * 0.8] * 20 + [still * (0.8 * gain)] * 20)[20:]) > 0.8


@pytest.mark.parametrize("speed_px", [0.004, 0.02, 0.3])
def test_slow_motion_is_seen_before_it_amounts_to_anything(still: NDArray[np.float32], speed_px: float) -> None:
    seen = watched([still] * 20 + [shifted(still, speed_px * k) for k in range(1, 60)])
    held_px, longest = 0.0, 0.0
    for frame_is_still in seen[20:]:
        held_px = held_px + speed_px if frame_is_still else 0.0
        longest = max(longest, held_px)
    assert longest < 0.1


def test_a_small_part_that_moves_is_motion(still: NDArray[np.float32]) -> None:
    moved = still.copy()
    moved[90:102, 120:150] = shifted(still, 1.0)[90:102, 120:150]
    assert not any(watched([still] * 20 + [moved] * 2)[20:])


def test_something_that_comes_before_the_face_is_motion(still: NDArray[np.float32]) -> None:
    covered = still.copy()
    covered[130:170, 120:180] = 90.0
    assert not any(watched([still] * 20 + [covered] * 2)[20:])


@pytest.mark.parametrize("box", [(90, 50, 30, 30), (-40, 50, 130, 150), (90, 50, np.nan, 150)])
def test_faces_that_tell_nothing_are_not_still(still: NDArray[np.float32], box: tuple[float, ...]) -> None:
    rng, stillness = np.random.default_rng(1), PictureStillness()
    assert not any(stillness(shown(still, rng), np.array(box, np.float64)) for _ in range(8))


def test_another_size_of_picture_begins_anew(still: NDArray[np.float32]) -> None:
    rng, stillness = np.random.default_rng(1), PictureStillness()
    assert [stillness(shown(still, rng), BOX) for _ in range(8)][-1]
    assert not stillness(shown(still[:230], rng), BOX)


def state(noise: NDArray[np.float64]) -> FitState:
    return FitState(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 0.5]) + noise[:3], noise[3:].astype(np.float32))


def test_values_of_a_still_face_are_averaged_and_let_go_at_once() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, [0.0003, 0.0003, 0.002, 0.01, 0.01], (200, 5))
    alone, told = FaceSmoother(("jawOpen", "eyeBlinkLeft")), FaceSmoother(("jawOpen", "eyeBlinkLeft"))
    filtered = [
        (alone(state(n), k * FRAME_NS), told(state(n), k * FRAME_NS, still=k > 10)) for k, n in enumerate(noise)
    ]
    for part in ("translation", "expression"):
        spread = [np.std([getattr(pair[which], part) for pair in filtered[60:]], axis=0) for which in (0, 1)]
        assert (spread[1] < 0.6 * spread[0])[np.asarray(spread[0]) > 0].all()
    jump = np.array([0.02, 0.0, 0.0, 0.5, 0.5])
    after = [[each(state(jump), k * FRAME_NS) for k in range(200, 204)][-1] for each in (alone, told)]
    np.testing.assert_allclose(after[1].translation[0], after[0].translation[0], atol=0.002)
    np.testing.assert_allclose(after[1].expression, after[0].expression, atol=0.03)
