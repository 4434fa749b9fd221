"""Left-right partners on a mesh, from its shape."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.optional import require
from tracker.face_model.importing.registration.similarity import align
from tracker.face_model.importing.registration.surface import PURPOSE

Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

_ROUNDS: Final = 8
_FLIP: Final = np.array([-1.0, 1.0, 1.0])


def find_mirror(vertices: NDArray[np.floating]) -> tuple[Int, Float64]:
    """The left-right partner of every vertex of a nearly symmetric mesh.

    The mesh is reflected at x = 0 and laid over itself by iterated nearest points, so it may stand a little askew.

    Args:
        vertices: (V, 3) x towards the subject's left; any unit.

    Returns:
        partners (V,), and how far each vertex's reflection lies from its partner (V,), same unit.
    """
    points: Float64 = np.asarray(vertices, np.float64)
    tree = require("scipy.spatial", PURPOSE).cKDTree(points)
    middle = np.median(points, axis=0) * [1.0, 0.0, 0.0]
    reflected = (points - middle) * _FLIP + middle
    moved = reflected
    for _ in range(_ROUNDS):
        distance, partner = tree.query(moved)
        near = distance <= np.quantile(distance, 0.8) + 1e-12
        fit = align(reflected[near], points[partner[near]])
        moved = (reflected - reflected.mean(axis=0)) @ fit.rotation.T
        moved += (points[partner[near]] - (reflected[near] - reflected.mean(axis=0)) @ fit.rotation.T).mean(axis=0)
    distance, partner = tree.query(moved)
    return np.asarray(partner, np.intp), np.asarray(distance, np.float64)
