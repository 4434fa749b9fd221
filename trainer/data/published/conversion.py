"""From the landmark sets of published data to ours."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model import FaceModel

Float64 = NDArray[np.float64]

WFLW_TO_IBUG68: Final = np.array([
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60),
    60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96),
])  # fmt: skip
"""Which of WFLW's 98 points each of the 68 is: WFLW marks outlines twice as densely, brows on both sides and the pupils."""


def converted(points: Float64, partner: NDArray[np.integer]) -> Float64:
    """Rows of ``points`` (N, C) in another set's order: row k is that of ``partner[k]``, NaN where that is -1."""
    rows: Float64 = points[np.maximum(partner, 0)].astype(np.float64)
    rows[partner < 0] = np.nan
    return rows


def correspondence(model: FaceModel, source: str, target: str, within_m: float = 0.002) -> NDArray[np.intp]:
    """For each point of ``target`` the point of ``source`` at the same place of a face model, -1 where none is.

    Args:
        model: has both sets as embeddings.
        source: the set that is given.
        target: the set that is wanted.
        within_m: how near counts as the same place.

    Raises:
        FaceModelError: the model lacks one of them.
    """
    given, wanted = (model.landmarks(model.template, name) for name in (source, target))
    distance = np.linalg.norm(wanted[:, None] - given[None], axis=2)
    nearest = distance.argmin(axis=1)
    # Places on the face's outline are where it ends in the picture, not on the skin.
    trusted = model.embedding(source).weight[nearest] * model.embedding(target).weight > 0.5
    return np.where((distance.min(axis=1) < within_m) & trusted, nearest, -1)
