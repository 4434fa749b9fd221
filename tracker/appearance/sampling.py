"""Image colours at skin points, in linear light.

The face is cut out of the picture and reduced until neighbouring points lie two pixels apart, then averaged over three by three
of these pixels: each point gets the mean of its own patch, which keeps camera noise and moire out. Only then is sRGB undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.srgb import LINEAR
from tracker.types import ImageRGB

Float32 = NDArray[np.float32]

_SPACING: Final = 2.0
"""Pixels between neighbouring points in the reduced picture."""
_MARGIN_PX: Final = 4
_DARK, _BRIGHT = 4, 250


@dataclass(frozen=True, slots=True)
class Cutout:
    """The part of a picture that holds a face, averaged to the size of the points' patches, in linear light."""

    image: Float32
    """(h, w, 3)."""
    corner: tuple[int, int]
    """Left and top in the picture."""
    scale: tuple[float, float]
    """Pixels of ``image`` per pixel of the picture, across and down."""

    def read(self, pixels: Float32) -> Float32:
        """Linear RGB (3, M) at points (2, M) of the picture."""
        # remap wants integer pixel centres.
        x = (pixels[0] - np.float32(self.corner[0])) * np.float32(self.scale[0]) - np.float32(0.5)
        y = (pixels[1] - np.float32(self.corner[1])) * np.float32(self.scale[1]) - np.float32(0.5)
        colour = cv2.remap(self.image, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(colour[:, 0].T, np.float32)


def cut_out(image: ImageRGB, pixels: Float32, spacing_px: float) -> Cutout:
    """Cut out what points (2, M) in the picture, at least one, show.

    Args:
        image: RGB uint8 (H, W, 3).
        pixels: image points, all of them inside.
        spacing_px: distance between neighbouring points in the picture.
    """
    height, width = image.shape[:2]
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    left, top = max(int(low[0]) - _MARGIN_PX, 0), max(int(low[1]) - _MARGIN_PX, 0)
    right, bottom = min(int(high[0]) + _MARGIN_PX + 1, width), min(int(high[1]) + _MARGIN_PX + 1, height)
    cut = image[top:bottom, left:right]
    factor = min(1.0, _SPACING / spacing_px)
    size = (max(round(cut.shape[1] * factor), 4), max(round(cut.shape[0] * factor), 4))
    scale = (size[0] / cut.shape[1], size[1] / cut.shape[0])
    reduced = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    averaged = cv2.blur(cv2.LUT(reduced, LINEAR), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return Cutout(np.asarray(averaged, np.float32), (left, top), scale)


def is_unclipped(colour: Float32) -> NDArray[np.bool_]:
    """(M,) whether all channels of linear RGB (3, M) are between black and white."""
    unclipped: NDArray[np.bool_] = (colour.min(axis=0) > LINEAR[_DARK]) & (colour.max(axis=0) < LINEAR[_BRIGHT])
    return unclipped
