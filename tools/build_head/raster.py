"""A small z-buffer for the landmark renders (development only: needs numba)."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def _fill(points, depths, faces, triangle, barycentric, inverse_depth):  # type: ignore[no-untyped-def]  # pragma: no cover
    height, width = triangle.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f]
        ax, ay = points[a]
        bx, by = points[b]
        cx, cy = points[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0 or depths[a] <= 0 or depths[b] <= 0 or depths[c] <= 0:
            continue  # seen from behind (image y points down), or behind the camera
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                w = 1.0 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                u, v, w = u / depths[a], v / depths[b], w / depths[c]
                inverse = u + v + w
                if inverse > inverse_depth[y, x]:
                    inverse_depth[y, x] = inverse
                    triangle[y, x] = f
                    barycentric[y, x, 0] = u / inverse
                    barycentric[y, x, 1] = v / inverse
                    barycentric[y, x, 2] = w / inverse


def rasterise(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], focal_px: float, size: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Draw triangles into a z-buffer.

    Args:
        vertices: (V, 3) camera axes (x right, y down, z forward), metres.
        faces: (F, 3) counter-clockwise seen from outside.
        focal_px: focal length; the principal point is the image centre.
        size: width, height.

    Returns:
        triangle index per pixel (height, width), -1 where nothing is, and its perspective-correct barycentric (height, width, 3).
    """
    width, height = size
    points = vertices[:, :2] / vertices[:, 2:] * focal_px + np.array([width / 2, height / 2])
    triangle = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3))
    _fill(points, vertices[:, 2].copy(), faces, triangle, barycentric, np.zeros((height, width)))
    return triangle, barycentric
