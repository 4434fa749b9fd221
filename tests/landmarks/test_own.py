"""The tracker's own encoder: the default one's landmarks on a bare face, steadier ones under a cover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import picture
from tracker.errors import NetworkAssetError
from tracker.landmarks import LandmarkEncoder, Roi
from tracker.landmarks.own import OwnEncoder, combined, need
from tracker.networks.shipped import SHIPPED, shipped
from tracker.rendering.occluders import make

SMILE = Roi(282.5, 287.6, 337.2, -0.03)


@pytest.fixture(scope="module")
def smile(samples: Callable[[str], Path]) -> np.ndarray:
    return picture(samples("single_face.jpg"))


def _covered(image: np.ndarray, rows: slice, columns: slice, colour: tuple[int, int, int]) -> np.ndarray:
    out = image.copy()
    out[rows, columns] = colour
    return out


def _bearded(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    """A scarf before everything below the nose, and where it begins."""
    top = int(points[1, 1]) + 4
    return _covered(image, slice(top, int(points[152, 1]) + 20), slice(150, 420), (40, 60, 110)), float(top)


def test_a_bare_face_is_read_as_by_the_default_encoder(
    own_encoder: LandmarkEncoder, encoder: LandmarkEncoder, smile: np.ndarray
) -> None:
    own, default = own_encoder.encode(smile, SMILE), encoder.encode(smile, SMILE)
    # Weights in half precision, sums in another order.
    assert own.landmarks.points == pytest.approx(default.landmarks.points, abs=0.05)
    assert own.landmarks.sigma == pytest.approx(default.landmarks.sigma, rel=0.01)
    assert own.landmarks.visibility is None
    assert own.presence == pytest.approx(default.presence, abs=0.01)
    assert own.arkit_hint == pytest.approx(default.arkit_hint, abs=0.01)


def test_what_is_covered_is_told_and_less_sure(own_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    bare = own_encoder.encode(smile, SMILE).landmarks
    image, top = _bearded(smile, bare.points)
    found = own_encoder.encode(image, SMILE).landmarks
    assert found.visibility is not None
    under = bare.points[:, 1] > top + 6
    assert found.visibility[under].mean() < 0.4 < 0.7 < found.visibility[bare.points[:, 1] < top - 20].mean()
    assert found.sigma[under].mean() > 1.5 * bare.sigma[under].mean()


def test_only_crops_in_need_are_read_by_the_branch(own_encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    assert isinstance(own_encoder, OwnEncoder)
    bare = own_encoder.encode(smile, SMILE).landmarks
    image, _ = _bearded(smile, bare.points)
    # The same face twice, once covered: what one crop needs does not touch the other.
    both = np.concatenate([smile, image], axis=1)
    beside = Roi(SMILE.cx + smile.shape[1], SMILE.cy, SMILE.size, SMILE.rotation)
    first, second, third = own_encoder.encode_all(both, [SMILE, beside, SMILE])
    assert first.landmarks.visibility is None and third.landmarks.visibility is None
    assert first.landmarks.points == pytest.approx(bare.points, abs=0.05)
    alone = own_encoder.encode(image, SMILE).landmarks
    assert second.landmarks.points[:, 0] - smile.shape[1] == pytest.approx(alone.points[:, 0], abs=0.05)
    assert second.landmarks.visibility == pytest.approx(alone.visibility, abs=0.01)


@pytest.mark.parametrize(
    ("covered", "turned_deg", "presence", "least", "most"),
    [(0.0, 10.0, 0.99, 0.0, 0.0), (0.01, 40.0, 0.95, 0.0, 0.0), (0.026, 0.0, 1.0, 0.3, 0.7), (0.2, 0.0, 1.0, 1.0, 1.0),
     (0.0, 80.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.2, 1.0, 1.0)],
)  # fmt: skip
def test_need_grows_with_cover_turn_and_doubt(
    covered: float, turned_deg: float, presence: float, least: float, most: float
) -> None:
    cosine = np.cos(np.radians(turned_deg))
    rotation = np.diag([1.0, -1.0, -cosine]).astype(np.float32)
    assert least <= need(np.full(478, covered, np.float32), rotation, presence) <= most


def test_nothing_jumps_as_the_branch_sets_in() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.random((478, 3), np.float32)
    steady = sharp + np.float32(0.05) * rng.random((478, 3), np.float32)
    visible = np.full(478, 0.9, np.float32)
    assert combined(steady, sharp, visible, 0.0) == pytest.approx(sharp, abs=1e-6)
    assert combined(steady, sharp, visible, 1e-3) == pytest.approx(sharp, abs=1e-4)
    hidden = np.full(478, 0.1, np.float32)
    assert combined(steady, sharp, hidden, 1.0) == pytest.approx(steady, abs=1e-6)


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
        OwnEncoder(glance=tmp_path / "absent.onnx")
    with pytest.raises(NetworkAssetError, match="no network of this kind"):
        OwnEncoder(glance=networks / "face_landmark.tflite")
    with pytest.raises(NetworkAssetError, match="no network of this kind"):
        OwnEncoder(branch=networks / "face_landmark.tflite")


def test_an_engine_that_reads_no_onnx_is_refused() -> None:
    with pytest.raises(NetworkAssetError, match="use --encoder mediapipe"):
        OwnEncoder(engine="litert")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_networks_say_nothing_of_the_machine_they_were_written_on(name: str) -> None:
    content = shipped(name).read_bytes()
    assert b"site-packages" not in content and b".py" not in content
