"""The one camera model: a perspective pinhole in OpenCV axes (x right, y down, z forward)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole intrinsics in pixels of an image of ``width`` x ``height``.

    Pixel centres lie at integer coordinates plus one half: the image spans [0, width] x [0, height].
    """

    width: int
    height: int
    focal_px: float
    cx: float
    cy: float

    @classmethod
    def for_image(cls, width: int, height: int, focal_px: float | None = None) -> Camera:
        """A camera with its principal point at the image centre.

        Without ``focal_px`` the focal length is sqrt(W^2 + H^2) px (Simic 2022, section 3.4): one of face size and
        focal length has to be assumed, since a single view cannot tell them apart.
        """
        focal = math.hypot(width, height) if focal_px is None else float(focal_px)
        return cls(width, height, focal, width / 2.0, height / 2.0)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The intrinsic matrix K, float32 (3, 3)."""
        return np.array(
            [[self.focal_px, 0.0, self.cx], [0.0, self.focal_px, self.cy], [0.0, 0.0, 1.0]], dtype=np.float32
        )

    def project(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Project camera-frame points (..., 3) in metres to pixels (..., 2). Points need z > 0."""
        z = points[..., 2:3]
        centre = np.array([self.cx, self.cy], dtype=points.dtype)
        pixels: NDArray[np.floating] = points[..., :2] / z * points.dtype.type(self.focal_px) + centre
        return pixels
