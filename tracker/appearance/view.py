"""What the picture shows at the skin points of a pose that is only tried: the input of the photometric term.

The light is that of the last frame, brightened and tinted as a whole to this one's: a light solved from scratch at a wrong
pose or on a hand would explain both away.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import LUMA
from tracker.appearance.sampling import Cutout, cut_out, is_unclipped
from tracker.appearance.surface import SeenSkin
from tracker.types import ImageRGB, SkinView

Float32 = NDArray[np.float32]

_LEAST_POINTS: Final = 150
_LEAST_SPACING_PX: Final = 0.4
_GRAZING: Final = 0.15
_CODE_STEP: Final = 0.003
_DARKEST: Final = 0.002
_TAIL: Final = 5.0
_MEDIAN_OF: Final = 256


def skin_view(
    image: ImageRGB,
    seen: SeenSkin,
    log_albedo: Float32,
    variance: Float32,
    known: Float32,
    covered: Float32,
    is_bare: NDArray[np.bool_],
    light: NDArray[np.floating],
) -> SkinView | None:
    """The picture at ``seen`` against what is predicted; None when too little of the face is in it.

    Args:
        image: RGB uint8 (H, W, 3).
        seen: the points as the camera sees them.
        log_albedo: (3, P) log reflectance.
        variance: (P,) usual variance of log luminance.
        known: (P,) how well the skin at each point is known, 0..1.
        covered: (P,) probability that something was in front of it in the last frame.
        is_bare: (P,) plain skin.
        light: (9, 3) spherical harmonics of the last frame.
    """
    index = np.flatnonzero(seen.visible & (known > 0.02))
    if seen.spacing_px < _LEAST_SPACING_PX or index.size < _LEAST_POINTS:
        return None
    pixels = np.take(seen.pixels, index, axis=1)
    cutout = cut_out(image, pixels, seen.spacing_px)
    colour = np.maximum(cutout.read(pixels), np.float32(_DARKEST))
    irradiance = np.maximum(light.astype(np.float32).T @ seen.harmonics(index), np.float32(1e-4))
    expected = np.take(log_albedo, index, axis=1) + np.log(irradiance)
    off = np.log(colour) - expected
    weight = known[index] * is_unclipped(colour)
    hidden = covered[index]
    usual = variance[index]
    middle = np.median(off[:, :: max(1, off.shape[1] // _MEDIAN_OF)], axis=1, keepdims=True)
    robust = (
        weight
        * np.square(1.0 - hidden)
        / (1.0 + np.square(off - middle).sum(axis=0) / (np.float32(3.0 * _TAIL) * usual))
    )
    error = -(LUMA @ (off - ((off @ robust) / max(float(robust.sum()), 1e-6))[:, None]))
    noise = np.float32(_CODE_STEP) / np.maximum(LUMA @ colour, np.float32(_DARKEST))
    facing = np.clip((seen.facing[index] - _GRAZING) * np.float32(1.0 / 0.35), 0.0, 1.0)
    return SkinView(
        points=np.take(seen.points, index, axis=1),
        error=error,
        slope=_slope(cutout, pixels),
        sigma=np.sqrt(usual + noise * noise),
        weight=weight * facing,
        covered=hidden,
        is_bare=is_bare[index],
    )


def _slope(cutout: Cutout, pixels: Float32) -> Float32:
    """Gradient (2, M) of log luminance per pixel of the picture at points (2, M) of it."""
    luminance = np.log(np.maximum(cutout.image @ LUMA, np.float32(_DARKEST)))
    gradient = np.empty((*luminance.shape, 2), np.float32)
    for axis, (dx, dy) in enumerate(((1, 0), (0, 1))):
        gradient[..., axis] = cv2.Sobel(luminance, cv2.CV_32F, dx, dy, ksize=3, scale=cutout.scale[axis] / 8.0)
    x = (pixels[0] - np.float32(cutout.corner[0])) * np.float32(cutout.scale[0]) - np.float32(0.5)
    y = (pixels[1] - np.float32(cutout.corner[1])) * np.float32(cutout.scale[1]) - np.float32(0.5)
    read = cv2.remap(gradient, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(read[:, 0].T, np.float32)
