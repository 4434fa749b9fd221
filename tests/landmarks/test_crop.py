from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tracker.landmarks.crop import Cropper, Roi, eye_roi, roi_around


def blob(width: int, height: int, x: float, y: float, radius: float) -> np.ndarray:
    """A soft bright spot around the continuous point (x, y), RGB."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)


def centroid(image: np.ndarray) -> np.ndarray:
    """Brightness-weighted mean position in continuous pixels."""
    weights = image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("rotation", [0.0, 0.6, -1.4, math.pi])
@pytest.mark.parametrize("size", [40.0, 64.0, 150.0, 400.0])
def test_crop_and_way_back_agree_to_a_tenth_of_a_pixel(rotation: float, size: float) -> None:
    roi = Roi(320.25, 251.5, size, rotation)
    x, y = 320.25 + 0.14 * size, 251.5 - 0.06 * size
    seen = centroid(Cropper(64).cut(blob(640, 480, x, y, size / 20), roi))
    back = roi.to_image(np.float32([[*seen, 0]]), 64)[0]
    assert back[:2] == pytest.approx([x, y], abs=0.1 * size / 64)


def test_depth_is_scaled_with_the_crop() -> None:
    assert Roi(0, 0, 128, 1.0).to_image(np.float32([[10, 10, 8]]), 64)[0, 2] == pytest.approx(16)


def test_the_crop_follows_the_roll_and_keeps_its_size() -> None:
    rng = np.random.default_rng(0)
    face = rng.uniform(-1, 1, (100, 2)) * [80, 100]
    face = np.concatenate([face, [[-60, -30], [60, -30]]])
    upright = roi_around(face + 300, face[-2] + 300, face[-1] + 300)
    for angle in (0.5, 1.5, -2.5):
        cos, sin = math.cos(angle), math.sin(angle)
        turned = face @ np.array([[cos, sin], [-sin, cos]]) + 300
        roi = roi_around(turned, turned[-2], turned[-1])
        assert roi.size == pytest.approx(upright.size)
        assert roi.rotation == pytest.approx(angle)


def test_eyes_are_cropped_upright_from_either_side() -> None:
    outer, inner = np.float32([100, 100]), np.float32([140, 104])
    right, left = eye_roi(outer, inner, mirrored=False), eye_roi(inner, outer, mirrored=True)
    assert right == left
    assert right.rotation == pytest.approx(math.atan2(4, 40))


def test_outside_the_picture_its_edge_goes_on() -> None:
    image = np.full((20, 20, 3), 77, np.uint8)
    assert (Cropper(32).cut(image, Roi(-200, 500, 30, 0.3)) == 77).all()
    assert (Cropper(32).cut(np.full((1, 1, 3), 9, np.uint8), Roi(0, 0, 5000, 0)) == 9).all()


@pytest.mark.parametrize("size", [200.0, 700.0, 1500.0])
def test_noise_of_large_pictures_is_averaged(size: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), dtype=np.uint8)
    crop = Cropper(64).cut(noise, Roi(1000, 1000, size, 0.2))
    assert crop.std() < 0.45 * noise.std()


def test_overlap() -> None:
    roi = Roi(0, 0, 10, 0)
    assert roi.overlap(Roi(0, 0, 10, 1)) == 1
    assert roi.overlap(Roi(5, 0, 10, 0)) == pytest.approx(1 / 3)
    assert roi.overlap(Roi(50, 0, 10, 0)) == 0


def test_the_crop_is_the_picture_where_nothing_is_scaled() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(Cropper(64).cut(image, Roi(32, 32, 64, 0)), image)
    assert np.array_equal(
        Cropper(64).cut(image, Roi(32, 32, 64, math.pi / 2)), cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
    )
