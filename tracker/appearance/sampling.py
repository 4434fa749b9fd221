"""Image colours at skin points, in linear light.

The face is cut out of the picture and reduced until neighbouring points lie two pixels apart, then averaged over three by three
of these pixels: each point gets the mean of its own patch, which keeps camera noise and moire out. Only then is sRGB undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import LUMA
from tracker.srgb import LINEAR
from tracker.types import ImageRGB

Float32 = NDArray[np.float32]

_SPACING: Final = 2.0
"""Pixels between neighbouring points in the reduced picture."""
_MARGIN_PX: Final = 4
_SAME_SPACING: Final = 0.03
_DARK, _BRIGHT = 4, 250
_DARKEST: Final = 0.002
"""Luminance below which slopes are noise."""


@dataclass(frozen=True)
class Cutout:
    """The part of a picture that holds a face, averaged to the size of the points' patches, in linear light."""

    image: Float32
    """(h, w, 3)."""
    corner: tuple[int, int]
    """Left and top in the picture."""
    scale: tuple[float, float]
    """Pixels of ``image`` per pixel of the picture, across and down."""
    spacing_px: float
    """Distance between neighbouring points that it was made for."""

    def holds(self, pixels: Float32, spacing_px: float) -> bool:
        """Whether points (2, M) of the picture, ``spacing_px`` apart, can be read from it."""
        height, width = self.image.shape[:2]
        left, top = self.corner
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        return (
            abs(spacing_px - self.spacing_px) < _SAME_SPACING * self.spacing_px
            and bool(low[0] >= left and low[1] >= top)
            and bool(high[0] <= left + width / self.scale[0] and high[1] <= top + height / self.scale[1])
        )

    def read(self, pixels: Float32) -> Float32:
        """Linear RGB (3, M) at points (2, M) of the picture."""
        return self._at(self.image, pixels)

    def slope(self, pixels: Float32) -> Float32:
        """Gradient (2, M) of log luminance per pixel of the picture, at points (2, M) of it."""
        return self._at(self._gradient, pixels)

    @cached_property
    def _gradient(self) -> Float32:
        luminance = np.log(np.maximum(self.image @ LUMA, np.float32(_DARKEST)))
        gradient = np.empty((*luminance.shape, 2), np.float32)
        for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
            gradient[..., axis] = cv2.Sobel(luminance, cv2.CV_32F, dx, dy, ksize=3, scale=self.scale[axis] / 8.0)
        return gradient

    def _at(self, values: Float32, pixels: Float32) -> Float32:
        # remap wants integer pixel centres.
        x = (pixels[0] - np.float32(self.corner[0])) * np.float32(self.scale[0]) - np.float32(0.5)
        y = (pixels[1] - np.float32(self.corner[1])) * np.float32(self.scale[1]) - np.float32(0.5)
        read = cv2.remap(values, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(read[0].T, np.float32)


def cut_out(image: ImageRGB, pixels: Float32, spacing_px: float) -> Cutout:
    """Cut out what points (2, M) in the picture, at least one, show.

    Args:
        image: RGB uint8 (H, W, 3).
        pixels: image points, all of them inside.
        spacing_px: distance between neighbouring points in the picture.
    """
    height, width = image.shape[:2]
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    margin = max(_MARGIN_PX, math.ceil(spacing_px))
    left, top = max(int(low[0]) - margin, 0), max(int(low[1]) - margin, 0)
    right, bottom = min(int(high[0]) + margin + 1, width), min(int(high[1]) + margin + 1, height)
    cut = image[top:bottom, left:right]
    factor = min(1.0, _SPACING / spacing_px)
    whole = int(1.0 / factor)
    cut = cut[: cut.shape[0] // whole * whole, : cut.shape[1] // whole * whole]
    size = (max(round(cut.shape[1] * factor), 4), max(round(cut.shape[0] * factor), 4))
    scale = (size[0] / cut.shape[1], size[1] / cut.shape[0])
    reduced = _reduced(cut, size, whole)
    averaged = cv2.blur(cv2.LUT(reduced, LINEAR), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return Cutout(np.asarray(averaged, np.float32), (left, top), scale, spacing_px)


def _reduced(cut: ImageRGB, size: tuple[int, int], whole: int) -> ImageRGB:
    """A picture, a multiple of ``whole`` pixels wide and high, scaled to ``size``: means over ``whole`` by ``whole`` pixels,
    and the rest, down to a half, linearly. Area means by fractions of pixels take OpenCV ten times as long.
    """
    if whole > 1:
        height, width = cut.shape[0] // whole, cut.shape[1] // whole
        cut = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def is_unclipped(colour: Float32) -> NDArray[np.bool_]:
    """(M,) whether all channels of linear RGB (3, M) are between black and white."""
    unclipped: NDArray[np.bool_] = (colour.min(axis=0) > LINEAR[_DARK]) & (colour.max(axis=0) < LINEAR[_BRIGHT])
    return unclipped
