"""Light on a face as spherical harmonics: nine terms for each of red, green and blue.

Irradiance over pi at a normal n is ``E(n) = sum_k sh_k Y_k(n)`` with the real, orthonormal harmonics up to order two, which
hold 99 % of the energy that distant light leaves on a matte convex surface (Ramamoorthi and Hanrahan 2001, "An efficient
representation for irradiance environment maps"; CEST, section 3.2). Normals are in camera axes: a lamp stays where it
is while the head turns. A white surface under E = 1 is as bright as the camera's white.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TERMS: Final = 9
LUMA: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luminance of linear sRGB."""
_C0: Final = math.sqrt(1.0 / (4.0 * math.pi))
_C1: Final = math.sqrt(3.0 / (4.0 * math.pi))
_C2: Final = math.sqrt(15.0 / (4.0 * math.pi))
_C20: Final = math.sqrt(5.0 / (16.0 * math.pi))
_C22: Final = math.sqrt(15.0 / (16.0 * math.pi))
_SHAPE_SIGMA: Final = np.array([10.0, 0.8, 0.8, 0.8, 0.3, 0.3, 0.3, 0.3, 0.3])
"""How large each term is expected to be beside the constant one. Without it a frontal face, which shows half the sphere, leaves
combinations of terms free. A single lamp gives 1.15 and 0.56 to 0.66 (order 1 and 2), a room about half of that."""
_FRESH: Final = 0.002
"""Information of that expectation, in shares of what the data say about an average term."""
_HELD: Final = 0.3 / np.maximum(_SHAPE_SIGMA, 0.3)
_MEDIAN_OF: Final = 256
_LEAST_IRRADIANCE: Final = 0.06
"""Of the mean; nothing on a face is darker than that for want of light alone."""
_EXPECTED: Final = np.diag(_SHAPE_SIGMA**-2)


def sh_basis(normals: Float32) -> Float32:
    """The nine harmonics (9, P) at unit normals (3, P): 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2 with their factors."""
    x, y, z = normals
    basis = np.empty((9, x.shape[0]), np.float32)
    basis[0] = _C0
    np.multiply(y, np.float32(_C1), out=basis[1])
    np.multiply(z, np.float32(_C1), out=basis[2])
    np.multiply(x, np.float32(_C1), out=basis[3])
    x2, y2 = x * np.float32(_C2), y * np.float32(_C2)
    np.multiply(x2, y, out=basis[4])
    np.multiply(y2, z, out=basis[5])
    basis[6] = np.float32(_C20) * (3.0 * z * z - 1.0)
    np.multiply(x2, z, out=basis[7])
    basis[8] = np.float32(_C22) * (x * x - y * y)
    return basis


def solve_light(basis: Float32, irradiance: Float32, weight: Float32, previous: Float64 | None, hold: float) -> Float64:
    """The light (9, 3) that explains irradiance (3, P) at points with harmonics (9, P), weighted by ``weight`` (P,).

    Weighted linear least squares with Gaussian priors: terms as large as ``_SHAPE_SIGMA`` says, and around ``previous``, when
    given, with ``hold`` times the information that the data have about an average term.
    """
    weighted = basis * weight
    normal = (weighted @ basis.T).astype(np.float64)
    right = (weighted @ irradiance.T).astype(np.float64)
    size = float(normal.ravel()[:: TERMS + 1].sum()) / TERMS
    normal += (_FRESH * size) * _EXPECTED
    if previous is not None:
        prior = hold * size * _HELD
        normal.ravel()[:: TERMS + 1] += prior
        right += prior[:, None] * previous
    return np.asarray(np.linalg.solve(normal, right), np.float64)


def middle(values: Float32) -> Float32:
    """Medians (3, 1) over some of the points of (3, M)."""
    some = values[:, :: max(1, values.shape[1] // _MEDIAN_OF)]
    half = some.shape[1] // 2
    return np.partition(some, half, axis=1)[:, half : half + 1]


def floored(irradiance: Float32) -> Float32:
    """Irradiance (3, M) without the dark where harmonics undershoot."""
    floor = irradiance.mean(axis=1, keepdims=True) * np.float32(_LEAST_IRRADIANCE)
    lifted: Float32 = np.maximum(irradiance, np.maximum(floor, np.float32(1e-4)))
    return lifted


def exposure_of(sh: NDArray[np.floating]) -> float:
    """Luminance of the light (9, 3) on a white surface, averaged over the directions that face the camera.

    The other half of the sphere is not on a face that can be seen, and what is estimated of it is a guess.
    """
    return float(_facing_mean(sh) @ LUMA)


def white_balance_of(sh: NDArray[np.floating]) -> Float32:
    """Colour (3,) of that average light relative to its luminance; (1, 1, 1) is the camera's white."""
    mean = np.maximum(_facing_mean(sh), 1e-6)
    white: Float32 = (mean / float(mean @ LUMA)).astype(np.float32)
    return white


def _facing_mean(sh: NDArray[np.floating]) -> Float64:
    # Over the half sphere z < 0 the harmonics of order two average to nothing, and of order one only z does not.
    return np.asarray(_C0 * sh[0] - 0.5 * _C1 * sh[2], np.float64)


def shade(normals: Float32, sh: NDArray[np.floating], shadow: Float32 | None = None) -> Float32:
    """Irradiance over pi (P, 3) at unit normals (3, P) in camera axes under a light (9, 3).

    ``shadow`` (9, P) is what shadows take from each term (``shadows``); with it light is not negative.
    """
    terms = np.asarray(sh, np.float32)
    if shadow is None:
        shaded: Float32 = sh_basis(normals).T @ terms
        return shaded
    lit: Float32 = np.maximum((sh_basis(normals) + shadow).T @ terms, np.float32(0.0))
    return lit
