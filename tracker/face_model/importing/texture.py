"""Texture coordinates for heads that have none."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

_AXIS_DEPTH_M: Final = -0.06
"""The cylinder's axis runs upright through the head, behind the eyes' middle."""


def cylinder_uv(template: Float32, faces: Int32) -> tuple[Float32, Int32]:
    """Coordinates (T, 2) in 0..1, v upwards, and triangles (F, 3) of a cylinder around the head, cut at the back.

    Args:
        template: (V, 3) metres, head axes, origin between the eyes.
        faces: (F, 3).
    """
    turn = np.arctan2(template[:, 0], template[:, 2] - _AXIS_DEPTH_M) / (2.0 * np.pi) + 0.5
    low, high = float(template[:, 1].min()), float(template[:, 1].max())
    up = (template[:, 1] - low) / max(high - low, 1e-9)
    # Triangles across the cut get corners of their own beyond it.
    corners = faces.astype(np.int32).copy()
    across = np.ptp(turn[faces], axis=1) > 0.5
    behind = across[:, None] & (turn[faces] < 0.5)
    doubled, number = np.unique(faces[behind], return_inverse=True)
    corners[behind] = len(template) + number.astype(np.int32)
    u = np.concatenate([turn, turn[doubled] + 1.0])
    v = np.concatenate([up, up[doubled]])
    return np.column_stack([u / max(float(u.max()), 1.0), v]).astype(np.float32), corners
