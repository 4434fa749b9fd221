"""Small square versions of pictures for the detectors, cheap at any picture size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.landmarks.brightness import brightening
from tracker.types import Detection, ImageRGB


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
        square = np.zeros((size, size, 3), dtype=np.uint8)
        square[:rows, :columns] = _brightened(_resized(image, columns, rows))
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


def _resized(image: ImageRGB, columns: int, rows: int) -> ImageRGB:
    """The picture at this size, the average of 16 pixels at most per pixel: all of them would be 26 ms for an 8K one."""
    if image.shape[1] > 2 * columns:
        image = cv2.resize(image, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    shrinks = image.shape[1] > columns
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (columns, rows), interpolation=interpolation).astype(np.uint8, copy=False)


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
