"""Square, rotated regions of interest and the crops that encoders see.

Coordinates are continuous: a crop of N pixels spans [0, N], the centre of its first pixel is 0.5. OpenCV's warps count
pixel centres as integers, so half a pixel is added and taken away around them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32, ImageRGB

FACE_MARGIN = 1.5
"""Side of the crop over the longer side of the face's box, as MediaPipe's face landmarker graph sets it."""

EYE_MARGIN = 2.3
"""Side of an eye's crop over the distance of its corners, as MediaPipe's iris graph sets it."""

# Bilinear sampling looks at 2x2 pixels. Beyond this many image pixels per crop pixel the image is halved often enough
# first; the time that takes does not grow with the image.
_ALIASING_SCALE = 3.0


@dataclass(frozen=True, slots=True)
class Roi:
    """A square in the image."""

    cx: float
    cy: float
    """Centre in image pixels."""
    size: float
    """Side in image pixels."""
    rotation: float
    """Angle of the square's x axis in the image, radians, positive clockwise as seen (x towards y)."""

    def to_image(self, points: NDArray[np.floating], crop_size: int) -> Float32:
        """Map crop coordinates (N, 3) of a crop of ``crop_size`` pixels to image pixels; depth is scaled, not
        shifted.
        """
        scale = self.size / crop_size
        cos, sin = math.cos(self.rotation) * scale, math.sin(self.rotation) * scale
        half = crop_size / 2.0
        linear = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, scale]], dtype=np.float32)
        offset = np.array([self.cx - half * (cos - sin), self.cy - half * (sin + cos), 0.0], dtype=np.float32)
        mapped: Float32 = points.astype(np.float32, copy=False) @ linear
        mapped += offset
        return mapped

    def overlap(self, other: Roi) -> float:
        """Intersection over union of the two squares with their rotation left out, 0..1."""
        width = min(self.cx + self.size / 2, other.cx + other.size / 2) - max(
            self.cx - self.size / 2, other.cx - other.size / 2
        )
        height = min(self.cy + self.size / 2, other.cy + other.size / 2) - max(
            self.cy - self.size / 2, other.cy - other.size / 2
        )
        if width <= 0 or height <= 0:
            return 0.0
        common = width * height
        return common / (self.size**2 + other.size**2 - common)


def roi_around(points: NDArray[np.floating], right_eye: NDArray[np.floating], left_eye: NDArray[np.floating]) -> Roi:
    """The crop for a face with these points (N, >=2) and outer eye corners (2,), in image pixels: upright along the
    eye line.

    The box is taken along the eye line, so that the crop keeps its size while the head rolls (MediaPipe boxes along
    the image).
    """
    rotation = math.atan2(float(left_eye[1] - right_eye[1]), float(left_eye[0] - right_eye[0]))
    cos, sin = math.cos(rotation), math.sin(rotation)
    along = points[:, 0] * cos + points[:, 1] * sin
    across = points[:, 1] * cos - points[:, 0] * sin
    low_x, high_x, low_y, high_y = float(along.min()), float(along.max()), float(across.min()), float(across.max())
    middle_x, middle_y = (low_x + high_x) / 2, (low_y + high_y) / 2
    return Roi(
        middle_x * cos - middle_y * sin,
        middle_x * sin + middle_y * cos,
        FACE_MARGIN * max(high_x - low_x, high_y - low_y),
        rotation,
    )


def eye_roi(start: NDArray[np.floating], end: NDArray[np.floating], mirrored: bool) -> Roi:
    """The crop for an eye from its outer corner ``start`` to its inner corner ``end``, each (2,) in image pixels.

    ``mirrored`` when start lies to the right of end in an upright face, so that the crop is upright too.
    """
    if mirrored:
        start, end = end, start
    across, down = float(end[0] - start[0]), float(end[1] - start[1])
    return Roi(
        float(start[0] + end[0]) / 2,
        float(start[1] + end[1]) / 2,
        EYE_MARGIN * max(math.hypot(across, down), 1.0),
        math.atan2(down, across),
    )


class Cropper:
    """Cuts upright square crops of a fixed size out of images, into its own memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._warped = np.zeros((size, size, 4), dtype=np.uint8)
        self._pixels = np.zeros((size, size, 3), dtype=np.uint8)

    def cut(self, image: ImageRGB, roi: Roi) -> ImageRGB:
        """The crop, uint8 (size, size, 3); edge pixels continue outside the image. Overwritten by the next call."""
        if roi.size > _ALIASING_SCALE * self.size:
            image, roi = _reduced(image, roi, roi.size / (2 * self.size))
        left, top, right, bottom = _covered(image, roi, margin=2.0)
        # Warping four channels takes a third of the time of three.
        part = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2RGBA)
        scale = roi.size / self.size
        cos, sin = math.cos(roi.rotation) * scale, math.sin(roi.rotation) * scale
        # From the centre of crop pixel (0, 0), at (0.5, 0.5), to the index of the image pixel it samples.
        start = 0.5 - self.size / 2.0
        matrix = np.array([
            [cos, -sin, roi.cx - left + start * (cos - sin) - 0.5],
            [sin, cos, roi.cy - top + start * (sin + cos) - 0.5],
        ])  # fmt: skip
        cv2.warpAffine(
            part,
            matrix,
            (self.size, self.size),
            self._warped,
            cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            cv2.BORDER_REPLICATE,
        )
        cv2.cvtColor(self._warped, cv2.COLOR_RGBA2RGB, self._pixels)
        return self._pixels


def _covered(image: ImageRGB, roi: Roi, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the image part under ``roi`` and ``margin`` pixels around it; at least one pixel."""
    height, width = image.shape[:2]
    reach = roi.size * (abs(math.cos(roi.rotation)) + abs(math.sin(roi.rotation))) / 2 + margin
    left, top = (min(max(int(c - reach), 0), side - 1) for c, side in ((roi.cx, width), (roi.cy, height)))
    right, bottom = (min(max(int(c + reach) + 1, 1), side) for c, side in ((roi.cx, width), (roi.cy, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _reduced(image: ImageRGB, roi: Roi, factor: float) -> tuple[ImageRGB, Roi]:
    """The image part under ``roi`` with its sides divided by about ``factor``, and ``roi`` in it."""
    left, top, right, bottom = _covered(image, roi, margin=2 * factor)
    columns, rows = round((right - left) / factor), round((bottom - top) / factor)
    if columns < 1 or rows < 1:
        return image, roi
    small = cv2.resize(image[top:bottom, left:right], (columns, rows), interpolation=cv2.INTER_LINEAR)
    across, down = columns / (right - left), rows / (bottom - top)
    moved = Roi((roi.cx - left) * across, (roi.cy - top) * down, roi.size * across, roi.rotation)
    return small.astype(np.uint8, copy=False), moved
