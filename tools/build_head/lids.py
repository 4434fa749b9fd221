"""Fits the blinks to the mean head.

The blink targets were sculpted for MakeHuman's base shape, whose eyes open differently from the mean head's: there the upper lid
would overshoot the lower one by up to 5 mm at the outer corner. Each blink is scaled along the lid so that the margins meet.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head import mediapipe_points as mp
from tools.build_head.selection import HeadMesh
from tracker.arkit import ARKIT_INDEX

OVERLAP_M: Final = 0.0005
"""How far the closed upper lid covers the lower one, so that somewhat wider eyes close as well."""
SCALE_RANGE: Final = (0.3, 1.2)

Array = NDArray[np.float64]


def fit_blinks(basis: Array, mesh: HeadMesh, template: Array, faces: NDArray[np.int32], barycentric: Array) -> Array:
    """The expression basis (V, 3, Ne) with both blinks scaled.

    Args:
        faces: (478,) triangles of the landmarks.
        barycentric: (478, 3).
    """
    left = ARKIT_INDEX["eyeBlinkLeft"]

    def at(values: Array, indices: tuple[int, ...]) -> Array:
        chosen = list(indices)
        result: Array = np.einsum("lk,lki->li", barycentric[chosen], values[mesh.faces[faces[chosen]]])
        return result

    upper, lower = mp.EYE_UPPER_LEFT[1:-1], mp.EYE_LOWER_LEFT[1:-1]
    margin, below = at(template, upper), at(template, lower)
    drop, lift = at(basis[:, :, left], upper)[:, 1], at(basis[:, :, left], lower)[:, 1]
    # Heights are compared at the same x: interpolate the lower margin.
    order = np.argsort(below[:, 0])
    gap = margin[:, 1] - np.interp(margin[:, 0], below[order, 0], below[order, 1])
    closing = np.interp(margin[:, 0], below[order, 0], lift[order]) - drop
    scale = np.clip((gap + OVERLAP_M) / closing, *SCALE_RANGE)
    across = np.argsort(margin[:, 0])
    # A straight line over the columns weighted by their opening: smooth, and the middle of the eye counts most.
    slope, level = np.polyfit(margin[across, 0], scale[across], 1, w=gap[across])
    field = np.clip(slope * template[:, 0] + level, *SCALE_RANGE)
    result = basis.copy()
    result[:, :, left] *= field[:, None]
    right = ARKIT_INDEX["eyeBlinkRight"]
    result[:, :, right] = result[mesh.mirror][:, :, left] * [-1, 1, 1]
    return result
