"""The few combinations of many identity coefficients that landmarks can tell.

A model of 300 components says nothing more about 270 landmarks than its leading modes there. With J (3 L, Ni) the landmarks'
derivatives and J = U S V^T, a person of population N(0, I) is V c + (what no landmark shows), c again N(0, I). Solving for
c with the basis J V is exact up to the modes left out; back in the model's own coefficients the mean is V c, and every direction
outside V stays the population's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model import FaceModel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_ALL_UP_TO: Final = 128
"""Models of no more components keep them: the modes would save too little."""
_UNSEEN_M: Final = 2e-4
"""RMS motion of landmarks over the population that the modes left out may make."""


class IdentityModes:
    """Modes (M,) for coefficients (Ni,); for small models they are the coefficients themselves."""

    def __init__(self, model: FaceModel, set_name: str) -> None:
        self._directions: Float64 | None = None
        """(Ni, M), orthonormal columns; None where modes are coefficients."""
        if model.identity_count <= _ALL_UP_TO:
            return
        embedding = model.embedding(set_name)
        corners = model.identity_basis[model.faces[embedding.faces]].astype(np.float64)
        basis = np.einsum("lc,lcdi->ldi", embedding.barycentric.astype(np.float64), corners)
        # Eigenvectors of J^T J: landmarks are many more than coefficients.
        flat = basis.reshape(-1, basis.shape[2])
        variance, directions = np.linalg.eigh(flat.T @ flat)
        unseen = np.sqrt(np.cumsum(np.maximum(variance, 0.0)) / len(basis))
        self._directions = np.ascontiguousarray(directions[:, unseen > _UNSEEN_M][:, ::-1])

    def reduced(self, basis: Float32) -> Float32:
        """A basis (..., Ni) as one of modes (..., M)."""
        if self._directions is None:
            return basis
        return np.ascontiguousarray(basis @ self._directions.astype(np.float32))

    def modes_of(self, coefficients: NDArray[np.floating]) -> Float64:
        """(M,) of coefficients (Ni,)."""
        values = coefficients.astype(np.float64)
        return values if self._directions is None else values @ self._directions

    def coefficients(self, modes: NDArray[np.floating]) -> Float64:
        """(Ni,) of modes (M,): the likeliest ones."""
        values = modes.astype(np.float64)
        return values if self._directions is None else self._directions @ values

    def modes_information(self, information: Float64) -> Float64:
        """(M, M) of an information matrix (Ni, Ni) about coefficients, the population's not in it."""
        if self._directions is None:
            return information
        return np.asarray(self._directions.T @ information @ self._directions, np.float64)

    def covariance(self, modes: Float64) -> Float64:
        """(Ni, Ni) of the coefficients for (M, M) of the modes; what no mode moves is as wide as the population."""
        if self._directions is None:
            return modes
        known = modes - np.eye(len(modes))
        return np.asarray(np.eye(len(self._directions)) + self._directions @ known @ self._directions.T, np.float64)

    def sigma(self, modes: Float64) -> Float32:
        """(Ni,) standard deviations of the coefficients for the covariance (M, M) of the modes, at most 1."""
        if self._directions is None:
            variance = np.diag(modes)
        else:
            variance = 1.0 + ((self._directions @ (modes - np.eye(len(modes)))) * self._directions).sum(axis=1)
        sigma: Float32 = np.sqrt(np.clip(variance, 0.0, 1.0)).astype(np.float32)
        return sigma
