"""Is another person noticed, and one person never taken for two?

Clips of different people are joined, one frame after the other (a cut) or with a second of an empty picture between (a gap), and
go through the whole tracker. Noticed: identity starts anew or the face gets a new id. Clips of one person go through whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from tools.evaluation.clips import SHARED, all_clips, frames_of
from tools.evaluation.tracking import as_frames
from tracker.samples import sample
from tracker.tracking import FrameTracker
from tracker.types import FrameResult, ImageRGB

_PEOPLE: Final = (
    "single_face.mp4", "talk_d3.mp4", "grid_bbaf2n.mpg", "talk_d6.mp4", "grid_lwbsza.mpg", "WolfgangLanger_Pexels.mp4",
    "webcam_cap13.mp4", "grid_lbax4n.mpg", "talk_d9.mp4",
)  # fmt: skip
_SEVERAL_PEOPLE: Final = ("headpose_two_faces.mp4", "no_face.mp4")
_SIZE: Final = (640, 480)
_FPS: Final = 30.0
_BEFORE: Final = 75
_AFTER: Final = 75
_GAP: Final = 30


def evaluate(limit: int | None = None) -> dict[str, Any]:
    """Counts. ``limit``: at most so many pairs and frames a clip."""
    tracker = FrameTracker()
    clips = [sample(name) for name in _PEOPLE if name in ("single_face.mp4", "WolfgangLanger_Pexels.mp4")]
    known = {clip.name for clip in clips}
    clips += [
        path for path in (SHARED / "clips" / name for name in _PEOPLE) if path.is_file() and path.name not in known
    ]
    shots = {clip.name: _shot(clip) for clip in clips}
    names = [name for name in _PEOPLE if name in shots]
    pairs = [(a, b) for step in (1, 2) for a, b in zip(names, names[step:] + names[:step], strict=True) if a != b]
    result: dict[str, Any] = {}
    for kind, gap in (("cut", 0), ("gap", _GAP)):
        waits = [_wait(tracker, shots[a], shots[b], gap) for a, b in pairs[:limit]]
        seen = [wait for wait in waits if wait is not None]
        result[kind] = {
            "pairs": len(waits),
            "noticed": len(seen),
            "median_frames": float(np.median(seen)) if seen else None,
            "longest_frames": max(seen, default=None),
        }
    whole = [clip for clip in all_clips() if clip.name not in _SEVERAL_PEOPLE]
    frames, reopened = 0, []
    for clip in whole:
        tracker.reset()
        results = [tracker.process(frame) for frame in frames_of(clip, limit)]
        frames += len(results)
        if _first_reopening(results) is not None:
            reopened.append(clip.name)
    result["one_person"] = {"clips": len(whole), "frames": frames, "reopened": len(reopened)}
    result["one_person_reopened"] = ", ".join(reopened) or "none"
    return result


def _shot(clip: Path) -> list[ImageRGB]:
    return [_fitted(frame.image) for frame in islice(frames_of(clip), max(_BEFORE, _AFTER))]


def _fitted(image: ImageRGB) -> ImageRGB:
    """In the middle of a picture of common size, so that a change of size tells nothing."""
    width, height = _SIZE
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[y : y + size[1], x : x + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return canvas


def _wait(tracker: FrameTracker, one: list[ImageRGB], other: list[ImageRGB], gap: int) -> int | None:
    """Frames with the other person until that shows, or None."""
    tracker.reset()
    before = one[:_BEFORE]
    # The empty room is the first shot's picture, blurred beyond recognition: no cut where there was none.
    empty = [np.asarray(cv2.blur(before[-1], (255, 255)), np.uint8)] * gap
    results = [tracker.process(frame) for frame in as_frames([*before, *empty, *other[:_AFTER]], _FPS)]
    reopened = _first_reopening(results[len(before) - 1 :])
    return None if reopened is None else max(0, reopened - 1 - gap)


def _first_reopening(results: Sequence[FrameResult]) -> int | None:
    """Index of the first frame whose face is another one, or known from fewer keyframes, than the face before."""
    states = list(_faces(results))
    for (_, before), (index, face) in pairwise(states):
        if face[0] != before[0] or face[1] < before[1]:
            return index
    return None


def _faces(results: Sequence[FrameResult]) -> Iterator[tuple[int, tuple[int, int]]]:
    for index, result in enumerate(results):
        for face in result.faces[:1]:
            if face.identity_state is not None:
                yield index, (face.id, face.identity_state.keyframes)
