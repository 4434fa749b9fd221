"""Which frames of a clip to enrol from: few that differ, rather than many that say the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_ROTATION_RAD = 0.1
_EXPRESSION = 0.8


def choose_views(
    rotations: Float64, expressions: NDArray[np.floating], usable: NDArray[np.bool_], count: int
) -> list[int]:
    """Indices of at most ``count`` usable frames that lie as far apart as possible (farthest-point sampling).

    Args:
        rotations: (N, 3, 3) head rotations.
        expressions: (N, Ne) weights.
        usable: (N,) which may be taken.
        count: how many are wanted.
    """
    candidates = np.flatnonzero(usable)
    if candidates.size == 0:
        return []
    turned, moved = rotations[candidates], expressions[candidates]
    # The first is the plainest one: what lies nearest to everything.
    nearest = int(np.abs(moved - np.median(moved, axis=0)).sum(axis=1).argmin())
    apart = np.full(candidates.size, np.inf)
    chosen: list[int] = []
    while len(chosen) < min(count, candidates.size):
        chosen.append(int(candidates[nearest]))
        cosines = (np.tensordot(turned, turned[nearest], axes=2) - 1.0) / 2.0
        distance = np.arccos(np.clip(cosines, -1.0, 1.0)) / _ROTATION_RAD
        distance += np.abs(moved - moved[nearest]).sum(axis=1) / _EXPRESSION
        apart = np.minimum(apart, distance)
        nearest = int(apart.argmax())
    return chosen
