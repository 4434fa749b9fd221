"""A first head pose from landmarks with depth, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


_MIN_SCALE = 1e-3
"""Pixels a metre below which landmarks that fall into one point would put the head at infinity."""


def similarity(source: Float64, target: Float64, weight: Float64) -> tuple[float, Float64, Float64]:
    """Scale s, rotation R (3, 3) and offset t (3,) that minimise sum w |s R source + t - target|^2 (Umeyama 1991).

    ``source`` and ``target`` are (N, 3), ``weight`` (N,) non-negative.
    """
    share = weight / weight.sum()
    mean_source, mean_target = share @ source, share @ target
    from_mean, to_mean = source - mean_source, target - mean_target
    covariance = (to_mean * share[:, None]).T @ from_mean
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ np.diag(signs) @ vt
    spread = float(share @ (from_mean**2).sum(axis=1))
    scale = float((singular * signs).sum()) / spread
    return scale, rotation, mean_target - scale * rotation @ mean_source


def start_pose(camera: Camera, observed: Float32, model_points: Float32, weight: Float32) -> tuple[Float64, Float64]:
    """Rotation (3, 3) and translation (3,) of a head whose neutral points (L, 3) in metres look like ``observed``.

    ``observed`` (L, 3) is x, y and relative depth in pixels. Scaled orthography: s pixels a metre means a depth of focal / s.
    """
    scale, rotation, offset = similarity(
        model_points.astype(np.float64), observed.astype(np.float64), weight.astype(np.float64)
    )
    scale = max(scale, _MIN_SCALE)
    depth = camera.focal_px / scale
    translation = np.array([(offset[0] - camera.cx) / scale, (offset[1] - camera.cy) / scale, depth])
    return rotation, translation
