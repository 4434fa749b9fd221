"""Albedo as a picture in texture coordinates."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.points import SkinPoints
from tracker.types import Albedo

Float32 = NDArray[np.float32]

_SPLAT: Final = 0.5
"""Standard deviation of a point's mark in distances between points."""
_LEAST: Final = 1e-3


def albedo_uv(points: SkinPoints, albedo: Albedo, size: int = 256) -> tuple[Float32, Float32]:
    """The albedo of a person as a texture of the face model.

    Points are spread into the texture and averaged where they meet; what lies between them is filled from coarser and coarser
    copies of the texture (push and pull).

    Args:
        points: where the values belong.
        albedo: values at these points.
        size: width and height in pixels; row 0 is at v = 1, as pictures of textures are stored.

    Returns:
        Linear RGB reflectance (size, size, 3), and how well each pixel has been seen (size, size), 0..1, 0 away from skin.
    """
    values = np.concatenate([albedo.points, albedo.seen[:, None], np.ones((points.count, 1), np.float32)], axis=1)
    column = np.clip((points.uv[:, 0] * size).astype(np.intp), 0, size - 1)
    row = np.clip(((1.0 - points.uv[:, 1]) * size).astype(np.intp), 0, size - 1)
    sums = np.zeros((size, size, 5), np.float32)
    np.add.at(sums, (row, column), values)
    spacing_px = size * float(np.sqrt(np.ptp(points.uv[:, 0]) * np.ptp(points.uv[:, 1]) / points.count))
    sums = np.asarray(cv2.GaussianBlur(sums, (0, 0), max(_SPLAT * spacing_px, 0.6)), np.float32)
    known = np.minimum(sums[..., 4:] / max(float(np.median(sums[row, column, 4])), 1e-9), 1.0)
    mean = sums[..., :4] / np.maximum(sums[..., 4:], 1e-9)
    filled = _push_pull(mean * known, known)
    return np.ascontiguousarray(filled[..., :3]), np.ascontiguousarray(mean[..., 3] * known[..., 0])


def _push_pull(weighted: Float32, weight: Float32) -> Float32:
    """Means of values known to ``weight``, filled where nothing is known."""
    height, width = weight.shape[:2]
    mean = weighted / np.maximum(weight, np.float32(_LEAST))
    if min(height, width) <= 2:
        total = np.maximum(weight.sum(axis=(0, 1)), _LEAST)
        return np.broadcast_to(weighted.sum(axis=(0, 1)) / total, weighted.shape).astype(np.float32)
    half = (width // 2, height // 2)
    coarse_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)[..., None]
    coarse_weighted = np.asarray(cv2.resize(weighted, half, interpolation=cv2.INTER_AREA), np.float32)
    gain = np.float32(min(4.0, 1.0 / max(float(coarse_weight.max()), _LEAST)))
    coarse = _push_pull(coarse_weighted * gain, np.asarray(coarse_weight * gain, np.float32))
    behind = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(mean * weight + behind * (1.0 - weight), np.float32)
