"""Skins and backgrounds out of pictures and videos that the user gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.config import TrackerConfig
from tracker.errors import SourceError
from tracker.face_model import load_face_model
from tracker.rendering.contours import CONTOUR, LANDMARK_SET
from tracker.rendering.photographed_skin import best_views, skin_texture
from tracker.rendering.skin import Unfolding
from tracker.rendering.unwrap import unwrap
from tracker.sources.open import image_files, open_source
from tracker.tracking import FrameTracker
from tracker.types import Face, Frame, ImageRGB

BACKGROUND_PX: Final = 160
_LONGEST: Final = 300
"""Frames of a video that are looked at."""
_VIEWS: Final = 6
_STILL_FRAMES: Final = 12
"""How often a still is shown to the tracker, so that its fit comes to rest."""
_SMALLEST_FACE_PX: Final = 70.0
_COLOUR_KEPT: Final = 0.55
"""Share of a skin's differences in hue that is believed: video compression and coloured light leave stains."""
_BACKGROUNDS: Final = 6
_AROUND: Final = 0.45
"""How far from a face, in its sizes, background begins."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a picture or a video gave."""

    skin: NDArray[np.uint8] | None
    """(1024, 1024, 3) square-root encoded reflectance; None if no face was large enough."""
    hair: tuple[float, float, float]
    """Linear reflectance of the brows."""
    backgrounds: list[NDArray[np.uint8]]
    """(160, 160, 3) each."""


def harvest(path: Path, seed: int = 0) -> Harvest:
    """Unwrap the person that a video or picture shows, and cut backgrounds from around them.

    Args:
        path: a video, a picture, or a folder of pictures of one person.
        seed: of the choice of backgrounds.

    Raises:
        SourceError: it cannot be read, or holds no frame.
        NetworkAssetError: the tracker's networks have not been fetched.
    """
    tracker = FrameTracker(TrackerConfig(appearance=False))
    seen: list[tuple[ImageRGB, Face | None]] = []
    for frame in _frames(path):
        faces = tracker.fit(tracker.encode(frame)).faces
        seen.append((frame.image, faces[0] if faces else None))
    if not seen:
        raise SourceError(f"no frame in {path}: expected a video or a picture of a person")
    found = [(image, face) for image, face in seen if face is not None and float(face.box[2]) > _SMALLEST_FACE_PX]
    backgrounds = _cut_backgrounds(seen, np.random.default_rng(seed))
    if not found:
        return Harvest(None, (0.03, 0.02, 0.014), backgrounds)
    views = best_views(found, _VIEWS)
    hair = _brow_colour(views)
    return Harvest(_calmed(skin_texture(views, hair)), hair, backgrounds)


def _calmed(skin: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A skin with less variation of hue, but for the lips."""
    code = skin.astype(np.float32) / 255.0
    log = np.log(np.maximum(code * code, 1e-4))
    grey = log.mean(axis=2, keepdims=True)
    hue = log - grey
    usual = np.median(hue[300:700, 300:700].reshape(-1, 3), axis=0)
    model = load_face_model()
    points = Unfolding(model)(model.landmarks(model.template, LANDMARK_SET))
    lips = np.zeros(skin.shape[:2], np.uint8)
    cv2.fillPoly(lips, [np.rint(points[list(CONTOUR["lips_outer"].points)]).astype(np.int32)[:, None]], 255)
    kept = (
        _COLOUR_KEPT
        + (1.0 - _COLOUR_KEPT) * np.asarray(cv2.GaussianBlur(lips, (0, 0), 6.0), np.float32)[..., None] / 255.0
    )
    calm = np.exp(grey + usual + (hue - usual) * kept)
    return np.asarray(np.sqrt(np.clip(calm, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)


def _frames(path: Path) -> Iterator[Frame]:
    with open_source(str(path)) as source:
        frames = list(islice(source, _LONGEST))
    if len(frames) == 1 and image_files(str(path)) is not None:
        step = 33_000_000
        frames = [replace(frames[0], index=k, t_capture_ns=k * step) for k in range(_STILL_FRAMES)]
    yield from frames


def _brow_colour(views: list[tuple[ImageRGB, Face]]) -> tuple[float, float, float]:
    """The colour of the darker part of the brows, no lighter than hair is under skin's light."""
    linear = unwrap(views)
    model = load_face_model()
    points = Unfolding(model)(model.landmarks(model.template, LANDMARK_SET))
    mask = np.zeros(linear.shape[:2], np.uint8)
    for side in ("left", "right"):
        upper, lower = (points[list(CONTOUR[f"brow_{side}_{edge}"].points)] for edge in ("upper", "lower"))
        cv2.fillPoly(mask, [np.rint(np.concatenate([upper, lower[::-1]])).astype(np.int32)[:, None]], 1)
    colours = linear[mask > 0]
    dark = colours[colours.sum(axis=1) <= np.percentile(colours.sum(axis=1), 20)]
    hair = np.clip(np.median(dark, axis=0) * 0.6, 0.006, 0.35)
    return float(hair[0]), float(hair[1]), float(hair[2])


def _cut_backgrounds(seen: list[tuple[ImageRGB, Face | None]], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Squares of the pictures that no face is in."""
    out: list[NDArray[np.uint8]] = []
    for index in np.linspace(0, len(seen) - 1, _BACKGROUNDS).astype(int):
        image, face = seen[index]
        height, width = image.shape[:2]
        for _ in range(20):
            side = int(rng.uniform(0.25, 0.8) * min(height, width))
            x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
            if face is not None and _touches(face, x, y, side):
                continue
            part = image[y : y + side, x : x + side]
            if part.std() < 4.0:
                continue
            small = cv2.resize(part, (BACKGROUND_PX, BACKGROUND_PX), interpolation=cv2.INTER_AREA)
            out.append(np.asarray(small, np.uint8))
            break
    return out


def _touches(face: Face, x: int, y: int, side: int) -> bool:
    left, top, width, height = (float(value) for value in face.box)
    reach = _AROUND * max(width, height)
    return left - reach < x + side and x < left + width + reach and top - reach < y + side and y < top + height + reach
