"""Pictures on their way to the view: small and compressed, since nobody looks at them closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from tracker.types import Float32, ImageRGB

MAX_WIDTH: Final = 640
_QUALITY: Final = 80
BALL_PX: Final = 64
_GROUND: Final = (18, 22, 30)


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG of a frame."""

    jpeg: bytes
    width: int
    height: int


def compress(image: ImageRGB) -> Picture:
    """A frame (H, W, 3) as JPEG, at most ``MAX_WIDTH`` wide."""
    height, width = image.shape[:2]
    if width > MAX_WIDTH:
        size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Picture(data.tobytes(), int(image.shape[1]), int(image.shape[0]))


def light_ball(sh: Float32) -> ImageRGB:
    """A white matte ball in the light ``sh`` (9, 3) as the camera would see it: (64, 64, 3)."""
    from tracker.appearance.light import shade
    from tracker.srgb import to_codes

    grid = (np.arange(BALL_PX, dtype=np.float32) + 0.5) / (BALL_PX / 2) - 1.0
    x, y = np.meshgrid(grid, grid)
    inside = x**2 + y**2 < 1.0
    normals = np.stack([x[inside], y[inside], -np.sqrt(1.0 - x[inside] ** 2 - y[inside] ** 2)])
    ball = np.full((BALL_PX, BALL_PX, 3), _GROUND, np.uint8)
    ball[inside] = to_codes(np.clip(shade(normals, sh), 0.0, 1.0))
    return ball
