"""(d) Frames lost and invented: every clip at hand, roll, small faces, pictures without a face, darkness."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import all_clips, eye_distance, frames_of
from tools.evaluation.tracking import Encoded, Follower
from tools.peers.client import SubjectProcess
from tracker.samples import sample

Image = NDArray[np.uint8]

# Where a face is not there throughout, so that frames without one are no losses.
_PARTLY: Final = frozenset({"face_noface.mov", "noface_face.mov", "no_face.mp4"})
_FRAME: Final = (1280, 720)
_SMALL_EYES_PX: Final = (25, 30, 35, 40, 50, 60, 74)
_PLACES: Final = ((0.5, 0.5), (0.2, 0.3), (0.8, 0.7), (0.3, 0.75), (0.75, 0.25))
_ROLLS: Final = tuple(range(0, 181, 15))
_ROLL_STEP: Final = 3
_DARK: Final = (0.5, 0.25, 0.12, 0.06)


def evaluate(follower: Follower, peer: SubjectProcess | None, *, limit: int | None = None) -> dict[str, Any]:
    """All tests. ``limit`` caps the frames per clip; ``peer`` is a FaceLandmarker that sees the same clips."""
    picture = next(iter(frames_of(sample("single_face.jpg")))).image
    return {
        "clips": {clip.name: clip_figures(follower, peer, clip, limit) for clip in all_clips()},
        "roll": roll(follower, picture),
        "small": small_faces(follower, peer, picture),
        "no_face": nothing(follower),
        "dark": dark(follower, picture),
    }


def clip_figures(follower: Follower, peer: SubjectProcess | None, clip: Path, limit: int | None) -> dict[str, Any]:
    """Frames with a face, runs without one, and ids used."""
    encoded = follower.encode(frames_of(clip, limit))
    found = np.array([bool(seen.observations) for seen in encoded])
    ids = {observation.face_id for seen in encoded for observation in seen.observations}
    figures: dict[str, Any] = {
        "frames": len(found),
        "with_face": int(found.sum()),
        "gaps": _gaps(found),
        "ids": len(ids),
    }
    if clip.name not in _PARTLY:
        figures["lost"] = int((~found).sum())
    if peer is not None:
        theirs = _peer_found(peer, clip, limit)
        figures["mediapipe_with_face"] = int(theirs.sum())
        figures["only_mediapipe"] = int((theirs & ~found).sum())
    return figures


def roll(follower: Follower, picture: Image) -> dict[str, Any]:
    """The largest roll at which a face is found afresh, and to which it is followed (in degrees, both directions)."""
    fresh = {}
    for angle in _ROLLS:
        both = [follower.encode_images([_turned(picture, sign * angle)])[0].observations for sign in (1, -1)]
        fresh[angle] = all(both)
    followed = []
    for sign in (1, -1):
        angles = range(0, 181, _ROLL_STEP)
        seen = follower.encode_images(_turned(picture, sign * angle) for angle in angles)
        lost = [angle for angle, frame in zip(angles, seen, strict=True) if not frame.observations]
        followed.append((lost[0] if lost else 180 + _ROLL_STEP) - _ROLL_STEP)
    return {
        "fresh_up_to_deg": max([a for a in _ROLLS if all(fresh[b] for b in _ROLLS if b <= a)], default=None),
        "fresh_missed_deg": [angle for angle, ok in fresh.items() if not ok],
        "followed_up_to_deg": min(followed),
    }


def small_faces(follower: Follower, peer: SubjectProcess | None, picture: Image) -> dict[str, Any]:
    """Share of places in a 1280x720 picture where a face is found at first sight, per eye distance in pixels."""
    (seen,) = follower.encode_images([picture] * 3)[-1].observations
    eyes = eye_distance(seen.landmarks.points)
    result: dict[str, Any] = {"found_share": {}, "mediapipe_found_share": {}}
    for wanted in _SMALL_EYES_PX:
        frames = [_placed(picture, wanted / eyes, place) for place in _PLACES]
        found = [bool(follower.encode_images([frame])[0].observations) for frame in frames]
        result["found_share"][wanted] = round(float(np.mean(found)), 2)
        if peer is not None:
            theirs = [_peer_sees(peer, frame[None]).all() for frame in frames]
            result["mediapipe_found_share"][wanted] = round(float(np.mean(theirs)), 2)
    if peer is None:
        del result["mediapipe_found_share"]
    result["smallest_always_found_px"] = min(
        (size for size, s in result["found_share"].items() if s == 1.0), default=None
    )
    return result


def nothing(follower: Follower) -> dict[str, int]:
    """Frames, out of 40 each, in which a face is reported where there is none, freshly and after a face was followed."""
    rng = np.random.default_rng(0)
    makers: dict[str, Callable[[], Image]] = {
        "black": lambda: np.zeros((360, 640, 3), np.uint8),
        "grey": lambda: np.full((360, 640, 3), 128, np.uint8),
        "noise": lambda: rng.integers(0, 256, (360, 640, 3), dtype=np.uint8),
        "blurred_noise": lambda: _blurred(rng.integers(0, 256, (360, 640, 3), dtype=np.uint8)),
    }  # fmt: skip
    invented = {name: _count(follower.encode_images(make() for _ in range(40))) for name, make in makers.items()}
    face = [frame.image for frame in frames_of(sample("single_face.mp4"), 10)]
    empty = [np.full_like(face[0], 128)] * 40
    invented["grey_after_a_face"] = _count(follower.encode_images([*face, *empty])[len(face) :])
    return invented


def dark(follower: Follower, picture: Image) -> dict[str, Any]:
    """Deviation of the landmarks from those of the bright picture in % of the eye distance, per brightness; None: lost."""
    rng = np.random.default_rng(0)
    bright = follower.encode_images([picture] * 5)[-1].observations[0].landmarks.points
    eyes = eye_distance(bright)
    result: dict[str, Any] = {}
    for factor in _DARK:
        frames = [
            np.clip(picture * factor + rng.normal(0.0, 2.0, picture.shape) + 0.5, 0, 255).astype(np.uint8)
            for _ in range(10)
        ]
        seen = follower.encode_images(frames)[-1].observations
        if not seen:
            result[str(factor)] = None
            continue
        off = np.linalg.norm(seen[0].landmarks.points[:, :2] - bright[:, :2], axis=1)
        result[str(factor)] = round(float(off.mean() / eyes * 100), 2)
    return result


def _gaps(found: NDArray[np.bool_]) -> list[list[int]]:
    """Runs of frames without a face: first and last index."""
    gaps: list[list[int]] = []
    for index in np.flatnonzero(~found):
        if gaps and gaps[-1][1] == index - 1:
            gaps[-1][1] = int(index)
        else:
            gaps.append([int(index), int(index)])
    return gaps


def _blurred(picture: Image) -> Image:
    return cv2.GaussianBlur(picture, (0, 0), 12).astype(np.uint8)


def _count(encoded: list[Encoded]) -> int:
    return sum(bool(seen.observations) for seen in encoded)


def _turned(picture: Image, degrees: float) -> Image:
    """The picture turned about its centre, on a larger canvas."""
    height, width = picture.shape[:2]
    side = int(np.hypot(height, width)) + 1
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    turned = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8)


def _placed(picture: Image, scale: float, place: tuple[float, float]) -> Image:
    """The picture, scaled, in a larger one of soft noise."""
    width, height = _FRAME
    rng = np.random.default_rng(1)
    canvas = cv2.resize(
        rng.integers(60, 200, (9, 16, 3), dtype=np.uint8), _FRAME, interpolation=cv2.INTER_CUBIC
    ).astype(np.uint8)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = min(small.shape[0], height), min(small.shape[1], width)
    x, y = round(place[0] * (width - w)), round(place[1] * (height - h))
    canvas[y : y + h, x : x + w] = small[:h, :w]
    return canvas


def _peer_found(peer: SubjectProcess, clip: Path, limit: int | None) -> NDArray[np.bool_]:
    """(T,) whether the peer sees a face."""
    return _peer_sees(peer, np.stack([frame.image for frame in frames_of(clip, limit)]))


def _peer_sees(peer: SubjectProcess, images: Image) -> NDArray[np.bool_]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, images)
        return peer.run(0, peer.load(path, 30.0)).found
