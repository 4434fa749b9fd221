"""Smooth continuation of vertex values over a mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.optional import require
from tracker.face_model.importing.registration.surface import PURPOSE, components, edges_of

Float64 = NDArray[np.float64]


def extend(values: Float64, known: NDArray[np.bool_], faces: NDArray[np.intp]) -> Float64:
    """Values (V, C) with the unknown ones replaced by the mean of their neighbours (discrete harmonic).

    Connected parts without a known vertex get zero.

    Args:
        values: (V, C); rows where ``known`` is False are ignored.
        known: (V,).
        faces: (F, 3).
    """
    sparse = require("scipy.sparse", PURPOSE)
    count = len(values)
    out = np.where(known[:, None], values, 0.0)
    label = components(faces, count)
    reached = np.zeros(label.max(initial=0) + 1, np.bool_)
    reached[label[known]] = True
    free = np.flatnonzero(~known & reached[label])
    if not len(free):
        return out
    edges, _, _ = edges_of(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count))
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    laplacian = (sparse.diags(degree) - adjacency).tocsr()[free]
    right = -(laplacian[:, np.flatnonzero(known)] @ values[known])
    out[free] = (
        require("scipy.sparse.linalg", PURPOSE).splu(laplacian[:, free].tocsc()).solve(np.ascontiguousarray(right))
    )
    return out
