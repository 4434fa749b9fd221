from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pictures import picture, placed
from tracker.detection import FaceDetector
from tracker.detection.blazeface import anchors, merge
from tracker.detection.thumbnail import Thumbnail, turned
from tracker.errors import NetworkAssetError
from tracker.types import Detection

EYES = np.array([[237.0, 246.0], [318.0, 243.0]])
"""The pupils in single_face.jpg."""


@pytest.fixture(scope="module")
def smile(samples: Callable[[str], Path]) -> np.ndarray:
    return picture(samples("single_face.jpg"))


def found_in_the_middle(found: list[Detection], eye_distance: float) -> bool:
    """Whether a detection has its eyes around the middle of a 1280x720 picture, as far apart as they should be."""
    for face in found:
        right, left = face.keypoints[0], face.keypoints[1]
        off = np.linalg.norm((right + left) / 2 - [640, 360])
        if off < 0.5 * eye_distance and 0.6 < np.linalg.norm(left - right) / eye_distance < 1.6:
            return True
    return False


@pytest.mark.parametrize("eye_distance", [30, 50, 74, 150, 300, 450])
def test_near_and_far(detector: FaceDetector, smile: np.ndarray, eye_distance: float) -> None:
    scale = eye_distance / np.linalg.norm(EYES[1] - EYES[0])
    image = placed(smile, tuple(EYES.mean(axis=0)), scale, 0.0)
    assert found_in_the_middle(detector.detect(image), eye_distance)


@pytest.mark.parametrize("roll_deg", [-150, -90, -60, 30, 60, 90, 120, 180])
def test_every_roll(detector: FaceDetector, smile: np.ndarray, roll_deg: float) -> None:
    image = placed(smile, tuple(EYES.mean(axis=0)), 100 / 81, roll_deg)
    found = detector.detect(image)
    assert found_in_the_middle(found, 100)
    right, left = found[0].keypoints[:2]
    measured = np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0]))
    assert abs((measured - roll_deg + 180) % 360 - 180) < 25


def test_subjects_right_eye_comes_first(detector: FaceDetector, smile: np.ndarray) -> None:
    (face,) = detector.detect(smile)
    assert np.linalg.norm(face.keypoints[:2] - EYES, axis=1).max() < 12
    x, y, width, height = face.box
    assert (face.keypoints[:4] > [x, y]).all() and (face.keypoints[:4] < [x + width, y + height]).all()


@pytest.mark.parametrize("light", [0.3, 0.1, 0.03])
def test_the_dark(detector: FaceDetector, smile: np.ndarray, light: float) -> None:
    assert detector.detect((smile * light).astype(np.uint8))


def test_several_people(detector: FaceDetector, samples: Callable[[str], Path]) -> None:
    found = detector.detect(picture(samples("multi_face.jpg")))
    assert len(found) == 5
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2), (7, 9)])
def test_tiny_and_thin_pictures(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.full((*size, 3), 120, np.uint8)) == []


@pytest.mark.parametrize("factor", [0.5, 2, 6])
def test_the_size_of_the_picture_does_not_matter(detector: FaceDetector, smile: np.ndarray, factor: float) -> None:
    resized = cv2.resize(
        smile, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    (face,) = detector.detect(np.asarray(resized, np.uint8))
    assert np.linalg.norm(face.keypoints[:2] / factor - EYES, axis=1).max() < 12


def test_anchors_are_cell_centres() -> None:
    short = anchors(128, ((8, 2), (16, 6)))
    assert short.shape == (896, 2)
    assert short[0].tolist() == short[1].tolist() == [4, 4]
    assert short[2].tolist() == [12, 4]
    assert short[-1].tolist() == [120, 120]
    assert anchors(192, ((4, 1),)).shape == (2304, 2)


def test_overlapping_boxes_blend_by_score() -> None:
    boxes = np.zeros((3, 8, 2))
    boxes[:, 1] = 10
    boxes[1, 0] = 2
    boxes[2, 0] = 50
    near, far = merge(boxes, np.array([0.9, 0.6, 0.8]))
    assert near.score == pytest.approx(0.9)
    assert near.box[0] == pytest.approx((0.6 * 2) / 1.5)
    assert far.box[0] == 50
    assert merge(np.zeros((2, 8, 2)), np.array([0.5, 0.6]))[0].score == pytest.approx(0.6)


def test_thumbnail_and_way_back_agree() -> None:
    image = np.zeros((300, 500, 3), np.uint8)
    image[120:140, 360:400] = 255
    thumbnail = Thumbnail.of(image, 100)
    rows, columns = np.nonzero(thumbnail.square[..., 0] > 100)
    seen = Detection(
        box=np.float32([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]),
        keypoints=np.zeros((6, 2), np.float32),
        score=1.0,
    )
    assert thumbnail.to_picture(seen).box.tolist() == [360, 120, 40, 20]


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_detections_in_a_turned_square_come_back(quarter_turns: int) -> None:
    square = np.zeros((10, 10), np.uint8)
    square[2, 7] = 1
    row, column = np.argwhere(np.rot90(square, quarter_turns))[0]
    seen = Detection(
        box=np.float32([column, row, 1, 1]), keypoints=np.full((6, 2), [column + 0.5, row + 0.5], np.float32), score=1.0
    )
    back = turned(seen, quarter_turns, 10)
    assert back.box.tolist() == [7, 2, 1, 1]
    assert back.keypoints[0].tolist() == [7.5, 2.5]


def test_networks_that_were_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    with pytest.raises(NetworkAssetError, match="run: tracker models fetch"):
        FaceDetector()
