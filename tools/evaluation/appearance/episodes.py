"""Where occluders go: over clean frames of a clip, in episodes that pass over the face or come to rest on it.

Places are relative to the face of the *unoccluded* run: eye distances from the middle of the eyes, along and across the eyes. The
first second of every clip stays clean, as it does when a person sits down before a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import eye_distance
from tracker.rendering.occluders import Image, Kind, make

Float32 = NDArray[np.float32]

CLEAN_FRAMES: Final = 36
"""Frames before the first episode, and the length of time in which the person becomes known."""
PASS_FRAMES: Final = 26
REST_FRAMES: Final = 40
_GAP_FRAMES: Final = 14
SIZES: Final = (0.7, 1.0, 1.4)
_SKIN: Final = (50, 280, 205, 425, 118, 347, 151, 9)


@dataclass(frozen=True, slots=True)
class Episode:
    """One appearance of an occluder."""

    kind: Kind
    size: float
    """Times the size that the thing has beside this face."""
    waypoints: tuple[tuple[float, float, float], ...]
    """x, y in eye distances from the middle of the eyes (y down), and the turn in radians; evenly spaced in time."""
    frames: int


@dataclass(frozen=True, slots=True)
class Occluded:
    """A clip with things in front of the face."""

    images: list[Image]
    cover: list[Float32 | None]
    """(H, W) of each frame, None where nothing is in front."""
    kind: list[Kind | None]


def episodes(size: float) -> tuple[Episode, ...]:
    """What happens in one clip, at one size."""
    far = 2.6 * size + 1.0
    return (
        Episode("hand", size, ((far, 1.4, -0.7), (0.25, 0.9, -0.5), (-0.5, 0.7, -0.2), (-far, 1.2, 0.2)), PASS_FRAMES),
        Episode("hand", size, _resting((0.35, 1.05, -0.45), (1.2, far, -0.5)), REST_FRAMES),
        Episode(
            "microphone", size, _resting((0.12, 1.35 + 0.48 * (size - 1.0), 0.12), (0.4, far + 1.2, 0.2)), REST_FRAMES
        ),
        Episode("hand", size, _resting((-0.55, 0.45, 0.5), (-far, 1.6, 0.9)), REST_FRAMES),
        Episode("scarf", size, _resting((0.0, 1.25, 0.0), (0.0, far, 0.0)), REST_FRAMES),
        Episode("hair", size, _resting((-0.38, 0.1, 0.1), (-1.8, -0.4, 0.5)), REST_FRAMES),
    )


def frames_needed(size: float = 1.0) -> int:
    """Frames of a clip in which every episode has its place."""
    return CLEAN_FRAMES + sum(each.frames + _GAP_FRAMES for each in episodes(size))


def occlude(images: Sequence[Image], landmarks: Sequence[Float32], size: float, seed: int = 0) -> Occluded:
    """Composite the episodes of one size over a clip.

    Args:
        images: (H, W, 3) of the clean clip.
        landmarks: (478, 3) of the unoccluded run, one per image.
        size: see ``Episode``.
        seed: of the drawings.
    """
    points = np.stack([points[:, :2] for points in landmarks])
    eyes = _calm((points[:, 33] + points[:, 263]) / 2.0)
    apart = float(np.median([eye_distance(each) for each in points]))
    across = _calm(points[:, 263] - points[:, 33])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    skin = skin_colour(images[0], points[0])
    out = Occluded(list(images), [None] * len(images), [None] * len(images))
    start = CLEAN_FRAMES
    for number, episode in enumerate(episodes(size)):
        thing = make(episode.kind, skin, seed + number)
        shake = _shake(episode.frames, seed + number)
        for k in range(episode.frames):
            frame = start + k
            if frame >= len(images):
                return out
            x, y, turn = _at(episode.waypoints, k / (episode.frames - 1)) + shake[k]
            ex = across[frame]
            centre = eyes[frame] + apart * (x * ex + y * np.array([-ex[1], ex[0]]))
            roll = float(np.arctan2(ex[1], ex[0]))
            out.images[frame], cover = thing.composite(images[frame], centre, apart * episode.size, turn + roll)
            out.cover[frame], out.kind[frame] = cover, episode.kind
        start += episode.frames + _GAP_FRAMES
    return out


def skin_colour(image: Image, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median colour (3,) of cheeks and forehead at landmarks (478, 2)."""
    height, width = image.shape[:2]
    at = np.clip(points[list(_SKIN), :2].astype(int), 0, [width - 1, height - 1])
    return np.asarray(np.percentile(image[at[:, 1], at[:, 0]], 60, axis=0), np.float64)


def _resting(
    place: tuple[float, float, float], away: tuple[float, float, float]
) -> tuple[tuple[float, float, float], ...]:
    return (away, place, place, place, place, place, away)


def _at(waypoints: Sequence[tuple[float, float, float]], t: float) -> NDArray[np.float64]:
    """Smooth motion through the way points at time t in 0..1."""
    path = np.array(waypoints)
    place = t * (len(path) - 1)
    first = min(int(place), len(path) - 2)
    share = place - first
    ease = share * share * (3.0 - 2.0 * share)
    return np.asarray(path[first] + (path[first + 1] - path[first]) * ease)


def _shake(count: int, seed: int) -> NDArray[np.float64]:
    """The unsteadiness of a hand (count, 3): slow random motion of a few hundredths."""
    rng = np.random.default_rng(seed + 4711)
    noise = rng.normal(0.0, 1.0, (count + 16, 3))
    window = np.hanning(17) / np.hanning(17).sum()
    slow = np.stack([np.convolve(noise[:, axis], window, "valid") for axis in range(3)], axis=1)
    return np.asarray(slow[:count] * np.array([0.10, 0.10, 0.08]))


def _calm(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Without the landmarks' jitter: a mean over five frames."""
    padded = np.pad(series.astype(np.float64), ((2, 2), (0, 0)), mode="edge")
    return np.asarray(sum(padded[k : k + len(series)] for k in range(5)) / 5.0)
