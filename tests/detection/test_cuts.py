"""Cuts between shots are seen, motion and exposure within one are not."""

from __future__ import annotations

import numpy as np

from tracker.detection.cuts import CutDetector
from tracker.sources.open import open_source


def images(path, count: int) -> list[np.ndarray]:
    with open_source(str(path)) as source:
        return [frame.image for frame, _ in zip(source, range(count), strict=False)]


def cuts(frames: list[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [index for index, image in enumerate(frames) if detector.is_cut(image)]


def test_real_clips_have_no_cut_inside_and_one_between(samples):
    first, second = images(samples("single_face.mp4"), 72), images(samples("WolfgangLanger_Pexels.mp4"), 200)
    assert cuts(first) == [] and cuts(second) == []
    assert cuts(first + second) == [len(first)]


def test_the_moment_a_face_is_cut_away_is_found(samples):
    assert len(cuts(images(samples("face_noface.mov"), 169))) == 1


def test_a_change_of_exposure_is_no_cut(samples):
    frames = images(samples("single_face.mp4"), 20)
    darker = [(image * 0.6).astype(np.uint8) for image in frames]
    assert cuts(frames + darker) == []


def test_black_frames_and_sizes_that_change_do_not_crash():
    assert cuts([np.zeros((48, 64, 3), np.uint8)] * 3 + [np.zeros((2, 3, 3), np.uint8)]) == []


def test_after_a_reset_nothing_is_compared():
    detector = CutDetector()
    detector.is_cut(np.zeros((48, 64, 3), np.uint8))
    detector.reset()
    assert not detector.is_cut(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
