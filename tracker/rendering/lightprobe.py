"""Spherical harmonics as pictures: a grey ball in the light, and the light all around it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import shade
from tracker.rendering.paint import Image
from tracker.srgb import to_codes

Float32 = NDArray[np.float32]

_BALL: Final = 0.5
"""Reflectance of the ball."""
_BEHIND: Final = 0.35
"""How bright the half that no visible skin faces is shown: what is known about it is a guess."""


def ball(sh: NDArray[np.floating], image: Image) -> None:
    """Draw a matte ball of reflectance 0.5 in the light (9, 3) into a square picture (N, N, 3), corners untouched."""
    size = image.shape[0]
    x, y = np.meshgrid((np.arange(size) + 0.5) / size * 2.0 - 1.0, (np.arange(size) + 0.5) / size * 2.0 - 1.0)
    radius2 = np.minimum(x * x + y * y, 1.0)
    normals = np.stack([x, y, -np.sqrt(1.0 - radius2)]).reshape(3, -1).astype(np.float32)
    normals /= np.maximum(np.linalg.norm(normals, axis=0), 1e-6)
    lit = to_codes(_BALL * shade(normals, sh)).reshape(size, size, 3)
    inside = np.clip((1.0 - np.sqrt(x * x + y * y)) * size / 2.0, 0.0, 1.0)[..., None]
    image[:] = (image + (lit - image.astype(np.float32)) * inside + 0.5).astype(np.uint8)


def environment(sh: NDArray[np.floating], width: int, height: int) -> Image:
    """The light (9, 3) on a surface that faces each direction, (height, width, 3): the camera in the middle, up at the top.

    The ball unrolled, with its far side: what faces the right of the picture is right of the middle, as on the ball.
    """
    turn = ((np.arange(width) + 0.5) / width - 0.5) * 2.0 * np.pi
    tilt = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    azimuth, elevation = np.meshgrid(turn, tilt)
    directions = np.stack(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)]
    ).reshape(3, -1)
    lit = _BALL * shade(directions.astype(np.float32), sh)
    lit *= np.where(directions[2] < 0.0, 1.0, _BEHIND)[:, None]
    picture = to_codes(lit).reshape(height, width, 3)
    for quarter in (1, 2, 3):
        cv2.line(picture, (width * quarter // 4, 0), (width * quarter // 4, height - 1), (70, 76, 84), 1)
    cv2.line(picture, (0, height // 2), (width - 1, height // 2), (70, 76, 84), 1)
    return np.asarray(picture, np.uint8)
