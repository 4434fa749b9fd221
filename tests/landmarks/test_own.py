"""The tracker's own encoder: the default one's landmarks on a bare face, steadier ones under a cover."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import picture
from tracker.errors import NetworkAssetError
from tracker.landmarks import LandmarkEncoder, Roi
from tracker.landmarks.own import WEIGHTS, OwnEncoder
from tracker.rendering.occluders import make

SMILE = Roi(282.5, 287.6, 337.2, -0.03)


@pytest.fixture(scope="module")
def smile(samples: Callable[[str], Path]) -> np.ndarray:
    return picture(samples("single_face.jpg"))


def _covered(image: np.ndarray, rows: slice, columns: slice, colour: tuple[int, int, int]) -> np.ndarray:
    out = image.copy()
    out[rows, columns] = colour
    return out


def test_a_bare_face_has_the_default_encoder_s_landmarks(
    own_encoder: LandmarkEncoder, encoder: LandmarkEncoder, smile: np.ndarray
) -> None:
    own, default = own_encoder.encode(smile, SMILE), encoder.encode(smile, SMILE)
    assert np.abs(own.landmarks.points[:, :2] - default.landmarks.points[:, :2]).max() < 0.01 * SMILE.size
    assert own.landmarks.visibility is not None
    assert own.landmarks.visibility.mean() > 0.9
    assert own.arkit_hint == pytest.approx(default.arkit_hint, abs=0.05)


def test_what_is_covered_is_told_and_less_sure(own_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    bare = own_encoder.encode(smile, SMILE).landmarks
    lower = slice(int(bare.points[1, 1]) + 4, int(bare.points[152, 1]) + 20)
    image = _covered(smile, lower, slice(150, 420), (40, 60, 110))
    found = own_encoder.encode(image, SMILE).landmarks
    assert found.visibility is not None
    under = bare.points[:, 1] > lower.start + 6
    assert found.visibility[under].mean() < 0.4 < 0.7 < found.visibility[bare.points[:, 1] < lower.start - 20].mean()
    assert found.sigma[under].mean() > 1.5 * bare.sigma[under].mean()


def test_a_hand_on_the_face_moves_the_rest_of_it_less(
    own_encoder: LandmarkEncoder, encoder: LandmarkEncoder, smile: np.ndarray
) -> None:
    moved = {}
    for name, each in (("own", own_encoder), ("default", encoder)):
        bare = each.encode(smile, SMILE).landmarks.points
        apart = np.linalg.norm(bare[33, :2] - bare[263, :2])
        shifts = []
        for seed, place in enumerate(((-0.45, 0.6), (0.45, 0.6), (0.0, 1.1), (-0.4, 0.2))):
            centre = (bare[33, :2] + bare[263, :2]) / 2.0 + apart * np.array(place)
            image, cover = make("hand", np.array([200.0, 150.0, 130.0]), seed).composite(smile, centre, apart, 0.3)
            points = each.encode(image, SMILE).landmarks.points
            free = cover[bare[:, 1].astype(int), bare[:, 0].astype(int)] < 0.1
            shifts.append(np.linalg.norm((points - bare)[free, :2], axis=1).mean())
        moved[name] = float(np.mean(shifts))
    assert moved["own"] < 0.85 * moved["default"]


def test_nothing_to_see_is_no_face(own_encoder: LandmarkEncoder) -> None:
    rng = np.random.default_rng(0)
    for image in (np.full((360, 640, 3), 90, np.uint8), rng.integers(0, 256, (360, 640, 3), dtype=np.uint8)):
        encoded = own_encoder.encode(image, Roi(320, 180, 200, 0.0))
        assert encoded.presence < 0.5
        assert encoded.arkit_hint is None


def test_faces_of_a_frame_are_read_as_one_by_one(own_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    assert isinstance(own_encoder, OwnEncoder)
    rois = [SMILE, Roi(290, 280, 400, 0.1)]
    both = [each.landmarks.points.copy() for each in own_encoder.encode_all(smile, rois)]
    for roi, points in zip(rois, both, strict=True):
        assert own_encoder.encode(smile, roi).landmarks.points == pytest.approx(points, abs=1e-2)
    assert own_encoder.encode_all(smile, []) == []


def test_a_file_that_is_no_such_encoder_is_refused(networks: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkAssetError, match="does not exist"):
        OwnEncoder(network=tmp_path / "absent.onnx")
    with pytest.raises(NetworkAssetError, match="no encoder of this kind"):
        OwnEncoder(network=networks / "face_landmark.tflite")


def test_the_shipped_network_says_nothing_of_the_machine_it_was_written_on() -> None:
    content = (files("tracker.landmarks") / "data" / WEIGHTS).read_bytes()
    assert b"site-packages" not in content and b".py" not in content
