"""Find faces in a whole picture."""

from __future__ import annotations

from typing import Final, Literal, Protocol

import numpy as np

from tracker.detection.blazeface import BlazeFace
from tracker.detection.thumbnail import Thumbnail, turned
from tracker.types import Detection, ImageRGB

MIN_SCORE: Final = 0.5


class Detector(Protocol):
    """Finds faces in pictures."""

    def detect(self, image: ImageRGB, thorough: bool = True) -> list[Detection]:
        """Faces in ``image``, uint8 (H, W, 3), best first, in picture pixels. ``thorough`` spends more when none is
        found at once.
        """
        ...


class FaceDetector:
    """The built-in detector: both BlazeFace networks on thumbnails of the whole picture.

    The full-range network finds upright faces whose eyes are as little as 2.3 % of the picture's longer side apart
    (30 px of 1280). When it finds nothing, a thorough search runs the short-range network, which finds faces near the
    camera and rolled by up to 90 degrees, and the same on the thumbnail turned to either side, which covers every
    roll.
    """

    def __init__(self, threads: int = 1, precision: Literal["auto", "f32", "bf16"] = "auto") -> None:
        """Load the networks. Raises NetworkAssetError when they have not been fetched."""
        self._far = BlazeFace("full", threads, precision)
        self._near = BlazeFace("short", threads, precision)

    def detect(self, image: ImageRGB, thorough: bool = True) -> list[Detection]:
        """See ``Detector.detect``."""
        thumbnail = Thumbnail.of(image, self._far.size)
        found = self._far.detect(thumbnail.square, MIN_SCORE)
        if found or not thorough:
            return [thumbnail.to_picture(face) for face in found]
        small = thumbnail.reduced(self._near.size)
        for quarter_turns in (0, 1, 3):
            square = np.rot90(small.square, quarter_turns)
            found = self._near.detect(square, MIN_SCORE)
            if found:
                return [small.to_picture(turned(face, quarter_turns, self._near.size)) for face in found]
        return []
