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

from tracker.types import ImageRGB

Float32 = NDArray[np.float32]

_SPACING: Final = 2.0
"""Pixels between neighbouring points in the reduced picture."""
_MARGIN_PX: Final = 4
_DARK, _BRIGHT = 4, 250


def _linear_table() -> Float32:
    code = np.arange(256) / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


LINEAR: Final = _linear_table()
"""(256,) linear light of 8-bit sRGB codes."""


@dataclass(frozen=True, slots=True)
class Patches:
    """What the picture shows at the points."""

    colour: Float32
    """(P, 3) linear RGB in 0..1."""
    unclipped: NDArray[np.bool_]
    """(P,) all channels are between black and white."""
    reduced: Float32
    """(h, w, 3) the averaged cut-out in linear light that ``colour`` was read from."""
    scale: tuple[float, float]
    """Reduced pixels per image pixel, across and down."""
    corner: tuple[int, int]
    """Left and top of the cut-out in the image."""


def sample(image: ImageRGB, pixels: Float32, visible: NDArray[np.bool_], spacing_px: float) -> Patches | None:
    """Colours at ``pixels`` (2, P); None where no point lies in the picture. Values at unseen points mean nothing."""
    height, width = image.shape[:2]
    shown = pixels[:, visible]
    if not shown.size:
        return None
    left = max(int(shown[0].min()) - _MARGIN_PX, 0)
    top = max(int(shown[1].min()) - _MARGIN_PX, 0)
    right = min(int(shown[0].max()) + _MARGIN_PX + 1, width)
    bottom = min(int(shown[1].max()) + _MARGIN_PX + 1, height)
    cut: NDArray[np.integer | np.floating] = image[top:bottom, left:right]
    scale_x = scale_y = 1.0
    if spacing_px > _SPACING:
        size = (
            max(round(cut.shape[1] * _SPACING / spacing_px), 4),
            max(round(cut.shape[0] * _SPACING / spacing_px), 4),
        )
        scale_x, scale_y = size[0] / cut.shape[1], size[1] / cut.shape[0]
        cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
    reduced: Float32 = np.asarray(cv2.blur(LINEAR[cut], (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    # remap wants integer pixel centres.
    map_x = (pixels[0] - np.float32(left)) * np.float32(scale_x) - np.float32(0.5)
    map_y = (pixels[1] - np.float32(top)) * np.float32(scale_y) - np.float32(0.5)
    read = cv2.remap(reduced, map_x[:, None], map_y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colour: Float32 = np.asarray(read[:, 0], np.float32)
    unclipped = (colour.min(axis=1) > LINEAR[_DARK]) & (colour.max(axis=1) < LINEAR[_BRIGHT])
    return Patches(colour, unclipped, reduced, (scale_x, scale_y), (left, top))
