"""How large rendered frames are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from tracker.types import ImageRGB

MIN_HEIGHT: Final = 540
"""Rows that small videos are enlarged to."""
_MIN_TILE: Final = 360
MAX_SIZE: Final = 8192


def output_size(
    width: int, height: int, wanted: tuple[int, int] | None, columns: int = 1, rows: int = 1
) -> tuple[int, int]:
    """Even width and height of each of ``columns`` x ``rows`` tiles for frames of this size.

    ``wanted`` is the size of all of them together.
    """
    if wanted is not None:
        scale = min(wanted[0] / (columns * width), wanted[1] / (rows * height))
    else:
        # Lines and letters need room: enlarge small videos by a whole number.
        enough = MIN_HEIGHT if columns * rows == 1 else _MIN_TILE
        scale = float(min(-(-enough // height), 4, max(1, MAX_SIZE // (columns * width))))
        scale = min(scale, MAX_SIZE / (columns * width), MAX_SIZE / (rows * height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def scaled(image: ImageRGB, width: int, height: int) -> ImageRGB:
    """``image`` as large as it fits into width x height."""
    import cv2

    scale = min(width / image.shape[1], height / image.shape[0])
    size = (min(width, round(image.shape[1] * scale)), min(height, round(image.shape[0] * scale)))
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_AREA), np.uint8
    )


def padded(image: ImageRGB, width: int, height: int) -> ImageRGB:
    """``image`` in the middle of a black width x height picture; frames that changed size in mid-stream need that."""
    if image.shape[:2] == (height, width):
        return image
    out = np.zeros((height, width, 3), np.uint8)
    y, x = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out[y : y + image.shape[0], x : x + image.shape[1]] = image
    return out
