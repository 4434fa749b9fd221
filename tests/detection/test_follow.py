from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pictures import FRAME_NS, frame, images, picture, placed
from tracker.detection import FaceDetector, FaceFollower
from tracker.errors import ConfigError
from tracker.landmarks import LandmarkEncoder
from tracker.types import Detection, FaceObservation

Follow = Callable[..., FaceFollower]
FACE = (282.5, 287.6)
"""Middle of the face in single_face.jpg."""


@pytest.fixture
def follow(encoder: LandmarkEncoder, detector: FaceDetector) -> Follow:
    return lambda max_faces=1: FaceFollower(encoder, detector, max_faces)


@pytest.fixture(scope="module")
def smile(samples: Callable[[str], Path]) -> np.ndarray:
    return picture(samples("single_face.jpg"))


def blank(width: int = 1280, height: int = 720) -> np.ndarray:
    return np.full((height, width, 3), 110, np.uint8)


def faces_per_frame(follower: FaceFollower, clip: Path, step: int = 1) -> list[list[int]]:
    return [
        [face.face_id for face in follower.process(frame(image, index))]
        for index, image in enumerate(images(clip))
        if index % step == 0
    ]


def test_a_face_throughout_is_never_lost(follow: Follow, samples: Callable[[str], Path]) -> None:
    follower = follow()
    for index, image in enumerate(images(samples("single_face.mp4"))):
        (face,) = follower.process(frame(image, index))
        assert (face.face_id, face.age) == (0, index)
        assert face.presence > 0.5
        assert face.arkit_hint is not None
        assert face.landmarks.points.shape == (478, 3)
        x, y, width, height = face.box
        assert (face.landmarks.points[:, 0] >= x).all() and (face.landmarks.points[:, 1] <= y + height + 1e-3).all()
        assert width > 50 and height > 50


def test_hands_before_the_face_do_not_lose_it(follow: Follow, samples: Callable[[str], Path]) -> None:
    seen = faces_per_frame(follow(), samples("WolfgangLanger_Pexels.mp4"), step=3)
    assert seen == [[0]] * len(seen)


def test_no_face_is_no_face(follow: Follow, samples: Callable[[str], Path]) -> None:
    assert not any(faces_per_frame(follow(), samples("no_face.mp4"), step=2))
    assert follow().process(frame(picture(samples("free-mountain-vector-01.jpg")), 0)) == []


def test_a_face_that_leaves_is_lost_at_once(follow: Follow, samples: Callable[[str], Path]) -> None:
    seen = faces_per_frame(follow(), samples("face_noface.mov"))
    assert [index for index, ids in enumerate(seen) if ids] == list(range(72))


def test_a_face_that_comes_is_found_at_once(follow: Follow, samples: Callable[[str], Path]) -> None:
    seen = faces_per_frame(follow(), samples("noface_face.mov"))
    # The clip's last picture is black.
    assert [index for index, ids in enumerate(seen) if ids] == list(range(96, 168))


def test_the_detector_rests_while_the_face_is_followed(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    follower.process(frame(smile, 0))
    assert follower.last_timing["detect"] > 0
    follower.process(frame(smile, 1))
    assert follower.last_timing["detect"] == 0
    assert follower.last_timing["encode"] > 0
    assert follower.last_timing["blendshapes"] > 0


def test_roll_is_followed_all_the_way_round(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    for index, roll_deg in enumerate(range(0, 366, 6)):
        faces = follower.process(frame(placed(smile, FACE, 1.0, roll_deg), index))
        assert [face.face_id for face in faces] == [0], f"lost at {roll_deg} degrees"
        points = faces[0].landmarks.points
        measured = np.degrees(np.arctan2(*(points[263, :2] - points[33, :2])[::-1]))
        assert abs((measured - roll_deg + 180) % 360 - 180) < 6


@pytest.mark.parametrize("roll_deg", [90, -90, 180])
def test_a_rolled_face_is_acquired(follow: Follow, smile: np.ndarray, roll_deg: float) -> None:
    assert len(follow().process(frame(placed(smile, FACE, 1.0, roll_deg), 0))) == 1


def test_eyes_fifty_pixels_apart_in_1280_are_acquired(follow: Follow, smile: np.ndarray) -> None:
    (face,) = follow().process(frame(placed(smile, FACE, 50 / 81, 0.0), 0))
    pupils = face.landmarks.points[[468, 473], :2]
    assert np.linalg.norm(pupils[1] - pupils[0]) == pytest.approx(50, abs=3)


def test_a_short_loss_keeps_the_id_and_a_long_one_does_not(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    shown = placed(smile, FACE, 1.0, 0.0)
    second = 1_000_000_000

    def at(image: np.ndarray, t_ns: int) -> list[FaceObservation]:
        return follower.process(frame(image, 0, t_ns))

    assert [face.face_id for face in at(shown, 0)] == [0]
    assert at(blank(), second // 25) == []
    (back,) = at(shown, second // 2)
    assert (back.face_id, back.age) == (0, 2)
    assert at(blank(), second) == []
    (new,) = at(shown, 3 * second)
    assert (new.face_id, new.age) == (1, 0)


def test_somebody_elsewhere_gets_another_id(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    follower.process(frame(placed(smile, FACE, 0.5, 0.0), 0))
    follower.process(frame(blank(), 1))
    elsewhere = np.roll(placed(smile, FACE, 0.5, 0.0), 450, axis=1)
    assert [face.face_id for face in follower.process(frame(elsewhere, 2))] == [1]


def test_a_covered_face_is_lost(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    shown = placed(smile, FACE, 1.0, 0.0)
    follower.process(frame(shown, 0))
    x, y, width, height = follower.process(frame(shown, 1))[0].box
    margin = int(0.3 * width)
    covered = shown.copy()
    covered[int(y) - margin : int(y + height) + margin, int(x) - margin : int(x + width) + margin] = (90, 110, 130)
    assert follower.process(frame(covered, 2)) == []
    assert [face.face_id for face in follower.process(frame(shown, 3))] == [0]


def test_a_face_leaving_the_picture_is_lost(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    wide = cv2.copyMakeBorder(placed(smile, FACE, 0.8, 0.0), 0, 0, 1280, 0, cv2.BORDER_REPLICATE)
    seen = [
        bool(follower.process(frame(wide[:, 1280 - shift : 2560 - shift], shift // 40))) for shift in range(0, 1240, 40)
    ]
    assert seen[0] and not seen[-1]
    assert seen == sorted(seen, reverse=True), "once out, it does not come back"


def test_several_faces_keep_their_ids(follow: Follow, samples: Callable[[str], Path]) -> None:
    follower = follow(5)
    image = picture(samples("multi_face.jpg"))
    first = follower.process(frame(image, 0))
    assert sorted(face.face_id for face in first) == [0, 1, 2, 3, 4]
    places = {face.face_id: face.box[:2] for face in first}
    for index in range(1, 12):
        shifted = np.roll(image, index, axis=1)
        for face in follower.process(frame(shifted, index)):
            assert np.abs(face.box[:2] - places[face.face_id] - [index, 0]).max() < 6


def test_no_more_faces_than_asked_for(follow: Follow, samples: Callable[[str], Path]) -> None:
    assert len(follow(2).process(frame(picture(samples("multi_face.jpg")), 0))) == 2


def test_a_second_face_is_found_while_one_is_followed(follow: Follow, smile: np.ndarray) -> None:
    follower = follow(2)
    alone = placed(smile, FACE, 0.6, 0.0)
    both = np.concatenate([alone[:, 240:880], alone[:, 400:1040]], axis=1)
    for index in range(3):
        assert len(follower.process(frame(alone, index))) == 1
    found = [len(follower.process(frame(both, index))) for index in range(3, 15)]
    assert found[-1] == 2


def test_two_crops_on_one_face_become_one(encoder: LandmarkEncoder, smile: np.ndarray) -> None:
    """Two people behind one another: both crops slide onto the one in front; the older id stays."""

    class TwoPlaces:
        def detect(self, image: np.ndarray, thorough: bool = True) -> list[Detection]:
            return [
                Detection(
                    box=np.float32([x - 100, 260, 200, 200]),
                    keypoints=np.float32([[x - 40, 330], [x + 40, 330], *[[x, 380]] * 4]),
                    score=0.9,
                )
                for x in (320, 960)
            ]

    one = placed(smile, FACE, 1.0, 0.0)[:, 320:960]
    follower = FaceFollower(encoder, TwoPlaces(), 2)
    assert len(follower.process(frame(np.concatenate([one, one], axis=1), 0))) == 2
    for index, shift in enumerate(range(40, 680, 40), start=1):
        scene = np.concatenate([one, one], axis=1)
        scene[:, 640:] = one[:, :1]
        scene[:, max(640 - shift, 0) : max(640 - shift, 0) + 640] = one
        last = follower.process(frame(scene, index))
        assert len({face.face_id for face in last}) == len(last)
        centres = [face.box[0] + face.box[2] / 2 for face in last]
        assert len(centres) < 2 or abs(centres[0] - centres[1]) > 30
    assert len(last) == 1


def test_the_same_frames_give_the_same_result(follow: Follow, samples: Callable[[str], Path]) -> None:
    def run() -> list[np.ndarray]:
        follower = follow()
        clip = images(samples("single_face.mp4"))
        return [
            follower.process(frame(image, index))[0].landmarks.points
            for index, image in zip(range(8), clip, strict=False)
        ]

    for one, other in zip(run(), run(), strict=True):
        assert np.array_equal(one, other)


def test_reset_forgets_faces_and_not_ids(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    assert follower.process(frame(smile, 0))[0].face_id == 0
    follower.reset()
    (face,) = follower.process(frame(smile, 0))
    assert (face.face_id, face.age) == (1, 0)


def test_the_picture_may_change_its_size(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    shown = placed(smile, FACE, 1.0, 0.0)
    assert follower.process(frame(shown, 0))[0].face_id == 0
    for index, size in enumerate([(640, 360), (1920, 1080), (1, 1), (1280, 720)], start=1):
        faces = follower.process(frame(cv2.resize(shown, size), index))
        assert [face.face_id for face in faces] == ([] if size == (1, 1) else [0]), size


def test_8k(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    big = cv2.resize(placed(smile, FACE, 1.0, 0.0), (7680, 4320), interpolation=cv2.INTER_NEAREST)
    small_follower = follow()
    for index in range(2):
        (face,) = follower.process(frame(big, index))
        (small,) = small_follower.process(frame(placed(smile, FACE, 1.0, 0.0), index))
    assert np.median(np.linalg.norm(face.landmarks.points - 6 * small.landmarks.points, axis=1)) < 6 * 1.0


def test_time_running_backwards_does_no_harm(follow: Follow, smile: np.ndarray) -> None:
    follower = follow()
    follower.process(frame(smile, 0, 5_000_000_000))
    follower.process(frame(blank(572, 562), 1, 4_000_000_000))
    assert len(follower.process(frame(smile, 2, FRAME_NS))) == 1


def test_max_faces_below_one(encoder: LandmarkEncoder, detector: FaceDetector) -> None:
    with pytest.raises(ConfigError, match="max_faces must be at least 1, got 0"):
        FaceFollower(encoder, detector, 0)
