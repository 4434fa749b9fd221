"""Real inputs of the networks, cut from the sample clips and stills: for calibration, checks and measurements."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32, Frame, ImageRGB

_LOGGER = logging.getLogger(__name__)

_STRIDES: Final = {"single_face.mp4": 9, "WolfgangLanger_Pexels.mp4": 12, "face_noface.mov": 20}
"""Clip -> every so many-th frame is used."""
_STILLS: Final = ("single_face.jpg", "0-f1-su-ph.jpg", "0-f15-hao-ph.jpg", "15-f13-anc-ph.jpg", "45-m7-di-ph.jpg")


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture with a face."""

    image: ImageRGB
    points: Float32
    """(478, 3) landmarks in image pixels."""


def crops(size: int, count: int) -> NDArray[np.uint8]:
    """Faces as encoders see them, RGB uint8 (N, size, size, 3), N <= ``count``; clips and stills take turns.

    Raises:
        TrackerError: samples or networks cannot be had.
    """
    from tracker.landmarks.crop import Cropper, roi_around
    from tracker.landmarks.mediapipe478 import OUTER_EYE_CORNERS

    cropper = Cropper(size)
    right, left = OUTER_EYE_CORNERS
    cut = [
        cropper.cut(seen.image, roi_around(seen.points, seen.points[right], seen.points[left])).copy()
        for seen in _faces(count)
    ]
    return np.stack(cut)


def stems(count: int) -> Float32:
    """(N, 32, 64, 64) maps that the encoder's branch is fed with: the glance's, of ``crops``."""
    from engines import load_engine
    from tracker.networks.shipped import GLANCE, shipped

    engine = load_engine(shipped(GLANCE), precision="f32")
    made = [engine.infer(crop[None].astype(np.float32) / np.float32(255.0))["stem"] for crop in crops(256, count)]
    return np.concatenate(made)


def eye_crops(size: int, count: int) -> NDArray[np.uint8]:
    """The same of right eyes, and of left ones mirrored."""
    from tracker.landmarks.crop import Cropper, eye_roi
    from tracker.landmarks.light import LEFT_EYE, RIGHT_EYE

    cropper = Cropper(size)
    cut = []
    for seen in _faces((count + 1) // 2):
        for contour, mirrored in ((RIGHT_EYE, False), (LEFT_EYE, True)):
            roi = eye_roi(seen.points[contour[0], :2], seen.points[contour[8], :2], mirrored)
            crop = cropper.cut(seen.image, roi)
            cut.append((crop[:, ::-1] if mirrored else crop).copy())
    return np.stack(cut[:count])


def pictures(size: int, count: int) -> NDArray[np.uint8]:
    """Whole pictures fitted into a square, as detectors see them."""
    from tracker.landmarks.crop import Cropper, Roi

    cropper = Cropper(size)
    cut = []
    for seen in _faces(count):
        height, width = seen.image.shape[:2]
        cut.append(cropper.cut(seen.image, Roi(width / 2, height / 2, max(width, height), 0.0)).copy())
    return np.stack(cut)


def score_points(count: int) -> Float32:
    """(N, 146, 2) what the expression network is shown."""
    from tracker.landmarks.crop import roi_around
    from tracker.landmarks.mediapipe478 import OUTER_EYE_CORNERS
    from tracker.landmarks.scores import BLENDSHAPE_POINTS

    right, left = OUTER_EYE_CORNERS
    shown = []
    for seen in _faces(count):
        roi = roi_around(seen.points, seen.points[right], seen.points[left])
        cos, sin = np.cos(roi.rotation), np.sin(roi.rotation)
        centred = seen.points[BLENDSHAPE_POINTS, :2] - np.array([roi.cx, roi.cy])
        shown.append(centred @ np.array([[cos, -sin], [sin, cos]]) * (4 / roi.size))
    return np.stack(shown).astype(np.float32)


@lru_cache(maxsize=1)
def _faces(count: int) -> tuple[Seen, ...]:
    """The first ``count`` faces, one from each source in turn, so that few of them are already diverse."""
    from tracker.detection import FaceDetector, FaceFollower
    from tracker.landmarks import create_encoder
    from tracker.sources.open import open_source

    follower = FaceFollower(create_encoder("mediapipe"), FaceDetector())
    found: list[Seen] = []
    _have_samples()
    sources = [_frames(open_source, name, stride) for name, stride in (*_STRIDES.items(), *((s, 1) for s in _STILLS))]
    while sources and len(found) < count:
        for frames in list(sources):
            frame = next(frames, None)
            if frame is None:
                sources.remove(frames)
                continue
            follower.reset()
            faces = follower.process(frame)
            if faces and len(found) < count:
                found.append(Seen(frame.image.copy(), faces[0].landmarks.points.copy()))
    return tuple(found)


def _have_samples() -> None:
    """Fetch them if need be; that takes a while, so it is said. Raises FetchError."""
    from tracker.samples import REQUIREMENT, fetch_samples, is_fetched

    if not all(is_fetched(name) for name in (*_STRIDES, *_STILLS)):
        _LOGGER.warning("real faces come from the sample clips, which are fetched now, once (%s)", REQUIREMENT)
        fetch_samples()


def _frames(open_source: Any, name: str, stride: int) -> Iterator[Frame]:
    from tracker.samples import sample

    with open_source(str(sample(name))) as source:
        for index, frame in enumerate(source):
            if index % stride == 0:
                yield frame
