"""Small square versions of pictures for the detectors, cheap at any picture size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.landmarks.brightness import brightening
from tracker.types import Detection, ImageRGB

# Averaging reads every pixel, which takes 30 ms for an 8K picture. Above this many source pixels per thumbnail pixel
# and axis rows and columns are skipped first.
_AVERAGED = 4


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture fitted into the top left of a square, black elsewhere."""

    square: ImageRGB
    """uint8 (size, size, 3)."""
    scale: tuple[float, float]
    """Thumbnail pixels per picture pixel in x and y."""

    @classmethod
    def of(cls, image: ImageRGB, size: int) -> Thumbnail:
        """The picture (H, W, 3) shrunk or grown to ``size``, with its brightness raised when it is dark."""
        height, width = image.shape[:2]
        ratio = size / max(height, width)
        columns, rows = max(round(width * ratio), 1), max(round(height * ratio), 1)
        step = max(int(1 / ratio / _AVERAGED), 1)
        if step > 1:
            image = np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])
        square = np.zeros((size, size, 3), dtype=np.uint8)
        interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, (columns, rows), interpolation=interpolation).astype(np.uint8, copy=False)
        square[:rows, :columns] = _brightened(small)
        return cls(square, (columns / width, rows / height))

    def reduced(self, size: int) -> Thumbnail:
        """The same at a smaller size."""
        ratio = size / len(self.square)
        square = cv2.resize(self.square, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return Thumbnail(square, (self.scale[0] * ratio, self.scale[1] * ratio))

    def to_picture(self, found: Detection) -> Detection:
        """A detection in thumbnail pixels, in picture pixels."""
        scale = np.array(self.scale, dtype=np.float32)
        box = np.concatenate([found.box[:2] / scale, found.box[2:] / scale])
        return Detection(box=box, keypoints=found.keypoints / scale, score=found.score)


def _brightened(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gain = brightening(image)
    return image if gain == 1.0 else cv2.convertScaleAbs(image, alpha=gain).astype(np.uint8, copy=False)


def turned(found: Detection, quarter_turns: int, size: int) -> Detection:
    """A detection in a square turned counterclockwise by ``quarter_turns`` (as ``numpy.rot90``), in the square before
    it.
    """
    points = np.concatenate([found.box[None, :2], found.box[None, :2] + found.box[None, 2:], found.keypoints])
    for _ in range(quarter_turns % 4):
        # rot90 takes the pixel at (x, y) to (y, size - x).
        points = np.stack([size - points[:, 1], points[:, 0]], axis=1)
    low, high = points[:2].min(axis=0), points[:2].max(axis=0)
    return Detection(box=np.concatenate([low, high - low]), keypoints=points[2:], score=found.score)
