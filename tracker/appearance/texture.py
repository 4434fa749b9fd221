"""Albedo as a picture in texture coordinates."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.appearance.mesh import SkinOnMesh
from tracker.appearance.points import SkinPoints
from tracker.errors import FaceModelError
from tracker.face_model.model import FaceModel
from tracker.rendering.rasterizer import rasterize
from tracker.types import Albedo

Float32 = NDArray[np.float32]

_LEAST: Final = 1e-3


def albedo_uv(model: FaceModel, points: SkinPoints, albedo: Albedo, size: int = 256) -> tuple[Float32, Float32]:
    """The albedo of a person as a texture of the face model.

    Every triangle of the texture gets the colours of its own vertices, so that seams meet; the scalp and the room between the
    islands are filled from coarser and coarser copies of the texture (push and pull).

    Args:
        model: the face model that the points lie on.
        points: where the values belong.
        albedo: values at these points.
        size: width and height in pixels; row 0 is at v = 1, as pictures of textures are stored.

    Returns:
        Linear RGB reflectance (size, size, 3), and how well each pixel has been seen (size, size), 0..1, 0 away from skin.

    Raises:
        FaceModelError: the model has no texture coordinates, or the albedo is not at these points.
    """
    if not len(model.uv):
        raise FaceModelError(f"face model {model.name} has no texture coordinates: there is no albedo map of it")
    if len(albedo.points) != points.count:
        raise FaceModelError(
            f"expected albedo at {points.count} points, got {len(albedo.points)}: it belongs to another model than {model.name}"
        )
    on_mesh = SkinOnMesh(model, points)
    values = on_mesh.spread(np.column_stack([albedo.points, albedo.seen]))
    values = np.column_stack([values, on_mesh.known])
    place = np.column_stack([model.uv[:, 0], 1.0 - model.uv[:, 1]]) * size
    raster = rasterize(place, np.ones(len(place)), model.uv_faces, size, size, cull_back=False)
    picture = raster.image(raster.interpolate_corners(values[model.faces[raster.kept]]))
    known = np.clip(picture[..., 4:], 0.0, 1.0)
    filled = _push_pull(picture[..., :3] * known, known)
    return np.ascontiguousarray(filled), np.ascontiguousarray(np.clip(picture[..., 3] * known[..., 0], 0.0, 1.0))


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
