"""How much worse landmarks get as conditions do: face size, darkness, blur, grain, back light, side light, overexposure, pose.

Clear frames of sample clips are spoilt step by step. Each spoilt frame is tracked ten times with fresh sensor noise of two codes:
``off`` is how far the mean of the landmarks lies from that in the clear frame, ``jitter`` how much they tremble, both in % of the
distance of the outer eye corners. Beside them stands what ``tracker.checkup`` measures, for its thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.checkup.measure import FaceMeasure, measure
from tracker.config import TrackerConfig
from tracker.samples import sample
from tracker.sources.open import open_source
from tracker.srgb import LINEAR, to_codes
from tracker.tracking import FrameTracker
from tracker.types import Float32, Frame

Image = NDArray[np.uint8]
Spoil = Callable[[Image, float], Image]

_FRAMES: Final = (
    ("single_face.mp4", 10),
    ("single_face.mp4", 60),
    ("WolfgangLanger_Pexels.mp4", 150),
    ("face_noface.mov", 20),
)
_COPIES: Final = 10
_NOISE: Final = 2.0
_SHOWN: Final = ("eye_distance_px", "level", "clipped", "contrast", "sides", "sharpness", "noise", "sigma")


def evaluate() -> dict[str, Any]:
    """``{condition: {step: {found, off, jitter, and the measures}}}``, means over the frames."""
    tracker = FrameTracker(TrackerConfig(smoothing=False))
    pictures = [_frame(clip, index) for clip, index in _FRAMES]
    clear = [_track(tracker, picture, np.random.default_rng(0)) for picture in pictures]
    result: dict[str, Any] = {}
    for name, (spoil, steps) in _CONDITIONS.items():
        result[name] = {}
        for step in steps:
            seen = []
            for picture, reference in zip(pictures, clear, strict=True):
                spoilt = spoil(picture, step)
                assert reference is not None
                seen.append(
                    (_track(tracker, spoilt, np.random.default_rng(1)), reference, spoilt.shape[1] / picture.shape[1])
                )
            result[name][f"{step:g}"] = _summary(seen)
    return result


_Tracked = tuple[Float32, list[FaceMeasure]]


def _track(tracker: FrameTracker, picture: Image, rng: np.random.Generator) -> _Tracked | None:
    """Landmarks (copies, 478, 2) of a still under fresh noise, and its measures; None where the face is lost."""
    tracker.reset()
    points, measures = [], []
    for index in range(_COPIES + 2):
        noisy = np.clip(picture + rng.normal(0.0, _NOISE, picture.shape) + 0.5, 0, 255).astype(np.uint8)
        result = tracker.process(Frame(noisy, index, index * 33_000_000, "media", 0))
        if not result.faces or not result.faces[0].tracked:
            return None
        measured = measure(noisy, result.faces[0])
        if index >= 2 and measured is not None:
            points.append(result.faces[0].landmarks.points[:, :2].copy())
            measures.append(measured)
    return np.stack(points), measures


def _summary(seen: list[tuple[_Tracked | None, _Tracked, float]]) -> dict[str, Any]:
    found = [(tracked, reference, scale) for tracked, reference, scale in seen if tracked is not None]
    if not found:
        return {"found": 0.0}
    off, jitter = [], []
    for (points, _), (clear, clear_measures), scale in found:
        clear_eyes = clear_measures[0].eye_distance_px
        difference = (points.mean(axis=0) / scale - clear.mean(axis=0)) / clear_eyes
        off.append(float(np.linalg.norm(difference, axis=1).mean()) * 100)
        jitter.append(float(np.sqrt(points.var(axis=0).sum(axis=1)).mean()) / (clear_eyes * scale) * 100)
    summary = {
        "found": round(len(found) / len(seen), 2),
        "off": round(float(np.mean(off)), 2),
        "jitter": round(float(np.mean(jitter)), 3),
    }
    for key in _SHOWN:
        values = [getattr(one, key) for (_, measures), _, _ in found for one in measures]
        summary[key] = round(float(np.mean(values)), 4)
    return summary


def _frame(clip: str, index: int) -> Image:
    with open_source(str(sample(clip))) as source:
        return next(frame.image for frame in source if frame.index == index)


def smaller(picture: Image, factor: float) -> Image:
    """The picture, ``factor`` times as large."""
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def brighter(picture: Image, factor: float) -> Image:
    """The picture in ``factor`` times the light, clipped as a camera would."""
    return to_codes(np.clip(LINEAR[picture] * np.float32(factor), 0.0, 1.0))


def blurred(picture: Image, sigma_px: float) -> Image:
    """The picture out of focus."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.uint8)


def smeared(picture: Image, length_px: float) -> Image:
    """The picture with ``length_px`` of sideways motion during the exposure."""
    size = int(length_px)
    return np.asarray(cv2.blur(picture, (size, 1)), np.uint8)


def grainy(picture: Image, sigma: float) -> Image:
    """The picture with a still grain of ``sigma`` codes on top of the noise that changes."""
    grain = np.random.default_rng(3).normal(0.0, sigma, picture.shape)
    return np.clip(picture + grain + 0.5, 0, 255).astype(np.uint8)


def one_sided(picture: Image, factor: float) -> Image:
    """The right half of the picture in ``1 / factor`` of the light, with a soft edge down the middle (linear light)."""
    across = np.linspace(-0.5, 0.5, picture.shape[1])
    ramp = (factor ** -(1.0 / (1.0 + np.exp(-across / 0.03)))).astype(np.float32)[None, :, None]
    return to_codes(LINEAR[picture] * ramp)


_CONDITIONS: Final[dict[str, tuple[Spoil, tuple[float, ...]]]] = {
    "size": (smaller, (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12)),
    "light": (brighter, (8.0, 4.0, 2.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.005)),
    "blur, px": (blurred, (0.5, 1.0, 2.0, 3.0, 4.0, 6.0)),
    "smear, px": (smeared, (3, 5, 9, 15, 25)),
    "grain, codes": (grainy, (4.0, 8.0, 16.0, 32.0)),
    "side light": (one_sided, (2.0, 10.0, 50.0, 200.0)),
}  # fmt: skip
