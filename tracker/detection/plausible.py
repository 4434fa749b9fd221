"""Judge whether what an encoder saw is a face that can be followed."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tracker.landmarks.crop import Roi
from tracker.landmarks.encoder import PRESENT, Encoded

# Sides of the square region below which nothing can be read from a face.
_SMALLEST_PX: Final = 16.0
# From one frame to the next the region must not jump: change of side, and shift over side.
_LARGEST_GROWTH: Final = 1.8
_LARGEST_SHIFT: Final = 0.4
# Share of the landmarks that must lie in the picture.
_LEAST_VISIBLE: Final = 0.5
_SAME_FACE_OVERLAP: Final = 0.4
# Crops that differ by less give landmarks within 1 % of the eye distance of each other (median over 97 detections).
_SAME_CROP_SHIFT: Final = 0.08
_SAME_CROP_GROWTH: Final = 1.2
_SAME_CROP_TURN_RAD: Final = 0.15


def is_face(encoded: Encoded, roi: Roi, before: Roi, image_shape: tuple[int, ...]) -> bool:
    """Whether the landmarks are those of a face: present, of a size, where they were looked for, in the picture.

    Args:
        encoded: what was read from ``before``.
        roi: the region that follows from the landmarks.
        before: the region they were looked for in.
        image_shape: (H, W, ...).
    """
    # Put so that a presence of NaN is refused too; a coordinate of NaN makes the size NaN.
    if not encoded.presence >= PRESENT or not math.isfinite(roi.size) or roi.size < _SMALLEST_PX:
        return False
    if not 1 / _LARGEST_GROWTH < roi.size / before.size < _LARGEST_GROWTH:
        return False
    if math.hypot(roi.cx - before.cx, roi.cy - before.cy) > _LARGEST_SHIFT * before.size:
        return False
    points = encoded.landmarks.points
    height, width = image_shape[:2]
    inside = (points[:, 0] > 0) & (points[:, 0] < width) & (points[:, 1] > 0) & (points[:, 1] < height)
    return bool(np.count_nonzero(inside) >= _LEAST_VISIBLE * len(points))


def is_same_face(one: Roi, other: Roi) -> bool:
    """Whether two regions can only belong to one face."""
    return one.overlap(other) > _SAME_FACE_OVERLAP


def is_same_crop(one: Roi, other: Roi) -> bool:
    """Whether two regions are so much alike that landmarks read from either are as good."""
    turn = math.remainder(one.rotation - other.rotation, 2 * math.pi)
    return (
        math.hypot(one.cx - other.cx, one.cy - other.cy) < _SAME_CROP_SHIFT * one.size
        and 1 / _SAME_CROP_GROWTH < one.size / other.size < _SAME_CROP_GROWTH
        and abs(turn) < _SAME_CROP_TURN_RAD
    )
