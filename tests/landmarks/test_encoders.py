from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import picture, placed
from tracker.arkit import ARKIT_INDEX
from tracker.config import ENCODERS
from tracker.errors import ConfigError, NetworkAssetError
from tracker.landmarks import LandmarkEncoder, Roi, create_encoder
from tracker.landmarks.crop import roi_around

SMILE = Roi(282.5, 287.6, 337.2, -0.03)
"""Where the face is in single_face.jpg."""


@pytest.fixture(params=["encoder", "light_encoder", "own_encoder"])
def any_encoder(request: pytest.FixtureRequest) -> LandmarkEncoder:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def smile(samples: Callable[[str], Path]) -> np.ndarray:
    return picture(samples("single_face.jpg"))


def test_shapes_units_and_timing(any_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    encoded = any_encoder.encode(smile, SMILE)
    marks = encoded.landmarks
    assert marks.set_name == any_encoder.set_name == "mediapipe478"
    assert (marks.points.shape, marks.points.dtype) == ((478, 3), np.float32)
    assert (marks.sigma.shape, marks.sigma.dtype) == ((478,), np.float32)
    assert 0.99 < encoded.presence <= 1
    assert {"crop", "landmarks", "sigma"} <= any_encoder.last_timing.keys()
    right, left = any_encoder.outer_eye_corners
    assert marks.points[right, 0] < marks.points[left, 0], "the subject's right eye is on the left of the picture"
    assert marks.points[1, 2] < marks.points[10, 2], "the nose tip is nearer than the forehead"


def test_results_stay_when_the_encoder_goes_on(any_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    first = any_encoder.encode(smile, SMILE)
    kept = first.landmarks.points.copy(), first.landmarks.sigma.copy()
    any_encoder.encode(smile[:, ::-1].copy(), SMILE)
    assert np.array_equal(first.landmarks.points, kept[0])
    assert np.array_equal(first.landmarks.sigma, kept[1])
    again = any_encoder.encode(smile, SMILE)
    assert np.array_equal(again.landmarks.points, kept[0])


def test_a_smile_is_a_smile(encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    hint = encoder.encode(smile, SMILE).arkit_hint
    assert hint is not None and hint.shape == (52,)
    assert hint[ARKIT_INDEX["mouthSmileLeft"]] > 0.7
    assert hint[ARKIT_INDEX["mouthSmileRight"]] > 0.7
    assert hint[ARKIT_INDEX["jawOpen"]] < 0.3
    assert hint[ARKIT_INDEX["tongueOut"]] < 0.05


def test_scores_can_be_left_out(encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    assert encoder.encode(smile, SMILE, scores=False).arkit_hint is None


def test_left_and_right_are_the_subjects(encoder: LandmarkEncoder, samples: Callable[[str], Path]) -> None:
    """She looks to her left; mirrored, to her right."""
    image = picture(samples("WolfgangLanger_Pexels.mp4"), 193)
    roi = Roi(444, 184, 412, 0.0)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    mirrored_roi = Roi(image.shape[1] - roi.cx, roi.cy, roi.size, -roi.rotation)
    for shown, where, toward, away in ((image, roi, "Left", "Right"), (mirrored, mirrored_roi, "Right", "Left")):
        hint = encoder.encode(shown, where).arkit_hint
        assert hint is not None
        assert hint[ARKIT_INDEX[f"eyeLookOut{toward}"]] > hint[ARKIT_INDEX[f"eyeLookOut{away}"]] + 0.5
        assert hint[ARKIT_INDEX[f"eyeLookIn{away}"]] > hint[ARKIT_INDEX[f"eyeLookIn{toward}"]] + 0.5


def test_a_hand_before_the_mouth_is_no_tongue(encoder: LandmarkEncoder, samples: Callable[[str], Path]) -> None:
    image = picture(samples("WolfgangLanger_Pexels.mp4"), 94)
    hint = encoder.encode(image, Roi(436, 231, 375, 0.02)).arkit_hint
    assert hint is not None
    assert hint[ARKIT_INDEX["tongueOut"]] < 0.1


def test_scores_do_not_depend_on_roll(encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    hints = []
    for roll_deg in (0.0, 60.0):
        image = placed(smile, (282.5, 287.6), 1.0, roll_deg)
        roi = Roi(640, 360, 337.2, np.deg2rad(roll_deg) - 0.03)
        hints.append(encoder.encode(image, roi).arkit_hint)
    assert np.abs(hints[0] - hints[1]).max() < 0.1


def test_landmarks_do_not_depend_on_the_pictures_scale(any_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    def around_centre(scale: float) -> np.ndarray:
        roi = Roi(640, 360, 337.2 * scale, -0.03)
        points = any_encoder.encode(placed(smile, (282.5, 287.6), scale, 0.0), roi).landmarks.points
        return (points[:, :2] - [640, 360]) / scale

    reference = around_centre(1.0)
    for scale in (0.7, 1.5, 2.5):
        shift = (around_centre(scale) - reference).mean(axis=0)
        assert np.abs(shift).max() < 0.15, f"scale {scale} moves all points by {shift} px"


def test_the_dark_changes_little(any_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    bright = any_encoder.encode(smile, SMILE)
    dark = any_encoder.encode((smile * 0.08).astype(np.uint8), SMILE)
    assert dark.presence > 0.9
    assert np.median(np.linalg.norm((dark.landmarks.points - bright.landmarks.points)[:, :2], axis=1)) < 1.0
    assert np.median(dark.landmarks.sigma) > np.median(bright.landmarks.sigma)


@pytest.mark.parametrize("image", [np.zeros((1, 1, 3), np.uint8), np.full((480, 640, 3), 90, np.uint8)])
def test_nothing_there_is_no_face(any_encoder: LandmarkEncoder, image: np.ndarray) -> None:
    encoded = any_encoder.encode(image, Roi(image.shape[1] / 2, image.shape[0] / 2, 200, 0))
    assert encoded.presence < 0.1
    assert encoded.arkit_hint is None
    assert np.isfinite(encoded.landmarks.points).all()
    assert np.isfinite(encoded.landmarks.sigma).all()


def test_following_its_own_landmarks_settles(any_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    roi = Roi(300, 300, 300, 0.1)
    right, left = any_encoder.outer_eye_corners
    for _ in range(6):
        before = roi
        points = any_encoder.encode(smile, roi).landmarks.points
        roi = roi_around(points, points[right], points[left])
    assert roi.overlap(before) > 0.99


def test_unknown_encoder() -> None:
    with pytest.raises(ConfigError, match=r"encoder must be one of own, mediapipe, light, .* got 'dlib'"):
        create_encoder("dlib")  # type: ignore[arg-type]


def test_networks_that_were_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    for name in ENCODERS:
        with pytest.raises(NetworkAssetError, match="run: tracker models fetch"):
            create_encoder(name)  # type: ignore[arg-type]
