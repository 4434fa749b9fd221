"""Find faces in a whole picture."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from tracker.config import EngineName, Precision
from tracker.detection.blazeface import BlazeFace
from tracker.detection.thumbnail import Thumbnail, turned
from tracker.types import Detection, ImageRGB

MIN_SCORE: Final = 0.5
MIN_TURNED_SCORE: Final = 0.72
"""The same on turned thumbnails. On 290 turned faces the score fell below it once, on 265 pictures without faces false
ones reached 0.69."""
SURE_SCORE: Final = 0.8
"""Score from which on a face is taken to be upright and no other search is made."""


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
    (30 px of 1280). When it is not sure, a thorough search shows it the thumbnail turned to either side as well,
    and asks the short-range network, which knows faces that fill the picture, about the upright and the inverted one.
    """

    def __init__(self, threads: int = 1, precision: Precision = "auto", engine: EngineName = "auto") -> None:
        """Load the networks. Raises NetworkAssetError when they have not been fetched."""
        self._far = BlazeFace("full", threads, precision, engine)
        self._near = BlazeFace("short", threads, precision, engine)

    def detect(self, image: ImageRGB, thorough: bool = True) -> list[Detection]:
        """See ``Detector.detect``."""
        thumbnail = Thumbnail.of(image, self._far.size)
        best = _search(self._far, thumbnail, 0)
        if thorough and not _is_sure(best):
            # The networks know upright faces; what they make of others scores lower than the same face set upright.
            small = thumbnail.reduced(self._near.size)
            attempts = [
                best,
                _search(self._far, thumbnail, 1, MIN_TURNED_SCORE),
                _search(self._far, thumbnail, 3, MIN_TURNED_SCORE),
                # A third of the time: who hangs head down is near.
                _search(self._near, small, 2, MIN_TURNED_SCORE),
                _search(self._near, small, 0),
            ]
            best = max(attempts, key=_best_score)
        return best


def _search(
    network: BlazeFace, thumbnail: Thumbnail, quarter_turns: int, min_score: float = MIN_SCORE
) -> list[Detection]:
    """Faces in the thumbnail turned by this much, in picture pixels."""
    square = np.rot90(thumbnail.square, quarter_turns)
    found = network.detect(square, min_score)
    return [thumbnail.to_picture(turned(face, quarter_turns, network.size)) for face in found]


def _is_sure(found: list[Detection]) -> bool:
    return _best_score(found) > SURE_SCORE


def _best_score(found: list[Detection]) -> float:
    return found[0].score if found else 0.0
