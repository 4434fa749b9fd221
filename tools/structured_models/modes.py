"""Smooth deformations that fill up a basis which the built-in head has too few components for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LOWEST_WAVELENGTH_M, _HIGHEST_WAVELENGTH_M = 0.16, 0.03


def smooth_modes(points: Array, count: int, rng: np.random.Generator) -> Array:
    """(V, 3, count) sums of random waves over space at ``points`` (V, 3), metres, from coarse to fine, each of unit RMS."""
    wavelengths = np.geomspace(_LOWEST_WAVELENGTH_M, _HIGHEST_WAVELENGTH_M, count)
    modes = np.empty((len(points), 3, count))
    for index, wavelength in enumerate(wavelengths):
        waves = rng.normal(size=(4, 3)) * (2.0 * np.pi / wavelength / np.sqrt(3.0))
        phases = rng.uniform(0.0, 2.0 * np.pi, 4)
        field = np.cos(points @ waves.T + phases) @ rng.normal(size=(4, 3))
        modes[:, :, index] = field / np.sqrt(np.mean(field**2))
    return modes


def independent(modes: Array, basis: Array, weight: Array) -> Array:
    """``modes`` (V, 3, M) without what ``basis`` (V, 3, N) explains and orthogonal to each other, per-vertex ``weight`` (V,).

    The result vanishes where the weight does.
    """
    flat = (modes * weight[:, None, None]).reshape(-1, modes.shape[2])
    known, _ = np.linalg.qr(basis.reshape(-1, basis.shape[2]))
    # The support stays within the weight: what leaks out of it by projecting is cut off, and the rest is projected again.
    rows = np.repeat(weight > 0.0, 3)
    inside = known[rows]
    onto, _ = np.linalg.qr(inside)
    part = flat[rows]
    part -= onto @ (onto.T @ part)
    orthogonal, _ = np.linalg.qr(part)
    out = np.zeros_like(flat)
    out[rows] = orthogonal
    return out.reshape(modes.shape)
