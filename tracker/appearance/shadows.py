"""What the head keeps from itself: the part of the light on each skin point that nose, brow and cheek block.

Light of order two on a convex surface depends on the normal alone. Where the sky is partly hidden, harmonic k loses
``-1 / A_k * integral over blocked directions w of max(n . w, 0) Y_k(w) dw / pi`` of its effect, with A_k = 1, 2/3, 1/4 the matte
surface's response (precomputed radiance transfer: Sloan, Kautz and Snyder 2002, shadows only). Without it, eye sockets and the
sides of the nose are taken for dark skin. Blocked directions are found on the relaxed mean head and kept for all
identities and expressions: what moves, moves the normal, whose light is exact.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import sh_basis
from tracker.directions import even_directions

Float32 = NDArray[np.float32]

_DIRECTIONS: Final = 64
_CELL_M: Final = 0.007
_CLEAR_M: Final = 0.004
_SOFT_M: Final = 0.008
"""Points this much farther behind what is in front count as fully blocked."""
_GRAZING: Final = 0.25
_RESPONSE: Final = np.array([1.0, *(3.0 / 2.0,) * 3, *(4.0,) * 5], np.float32)


def shadow_transfer(points: Float32, normals: Float32, vertices: Float32) -> Float32:
    """Change (9, P) of the harmonics at points (P, 3) with unit normals (P, 3) by vertices (V, 3) in front of them; head axes.

    Add it to ``sh_basis(normals)``; ``turned`` takes it to other axes.
    """
    towards = even_directions(_DIRECTIONS).astype(np.float32)
    low = vertices.min(axis=0)
    lost = np.zeros((_DIRECTIONS, len(points)), np.float32)
    cosine = normals @ towards.T
    for row, direction in enumerate(towards):
        lit = np.flatnonzero(cosine[:, row] > 0.0)
        if not lit.size:
            continue
        plane = _plane(direction)
        cells = np.floor((vertices - low) @ plane / _CELL_M).astype(np.int32)
        place = np.floor((points[lit] - low) @ plane / _CELL_M).astype(np.int32)
        start = np.minimum(cells.min(axis=0), place.min(axis=0))
        width = int(max(cells[:, 0].max(), place[:, 0].max()) - start[0]) + 1
        height = int(max(cells[:, 1].max(), place[:, 1].max()) - start[1]) + 1
        nearest = np.full(width * height, -1e3, np.float32)
        np.maximum.at(nearest, (cells[:, 1] - start[1]) * width + cells[:, 0] - start[0], vertices @ direction)
        front = nearest[(place[:, 1] - start[1]) * width + place[:, 0] - start[0]]
        facing = np.maximum(cosine[lit, row], np.float32(_GRAZING))
        # Within a cell a slanted surface is in front of itself by as much as it is slanted.
        own = np.float32(_CELL_M) * np.sqrt(1.0 - np.square(facing)) / facing
        behind = front - points[lit] @ direction - np.float32(_CLEAR_M) - own
        lost[row, lit] = np.clip(behind * np.float32(1.0 / _SOFT_M), 0.0, 1.0) * cosine[lit, row]
    transfer: Float32 = -(sh_basis(np.ascontiguousarray(towards.T)) @ lost) * np.float32(4.0 / _DIRECTIONS)
    return transfer * _RESPONSE[:, None]


def turned(transfer: Float32, rotation: Float32) -> Float32:
    """A transfer (9, P) in axes that ``rotation`` (3, 3) takes head axes to."""
    return sh_rotation(rotation) @ transfer


def sh_rotation(rotation: Float32) -> Float32:
    """(9, 9) that takes harmonics of order two, ``sh_basis`` of normals n, to those of ``rotation @ n``."""
    matrix = np.zeros((9, 9), np.float32)
    matrix[0, 0] = 1.0
    matrix[1:4, 1:4] = rotation[_FIRST[:, None], _FIRST]
    # Order two is quadratic in the normal: products of its entries turn by products of the rotation's.
    products = (rotation[:, None, :, None] * rotation[None, :, None, :]).reshape(9, 9)
    matrix[4:, 4:] = _SECOND @ products @ _FROM_SECOND
    return matrix


def _plane(direction: Float32) -> Float32:
    """Two axes (3, 2) across ``direction`` (3,)."""
    helper = np.array([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(direction, across)], axis=1).astype(np.float32)


def _second_order() -> Float32:
    """(5, 9) that takes the products of a normal's entries, n n^T, to its harmonics of order two."""
    probes = even_directions(24).T
    products = (probes[:, None] * probes[None]).reshape(9, -1)
    harmonics = sh_basis(np.ascontiguousarray(probes, np.float32))[4:].astype(np.float64)
    matrix: Float32 = (harmonics @ np.linalg.pinv(products)).astype(np.float32)
    return matrix


_FIRST: Final = np.array([1, 2, 0])
"""Harmonics of order one are y, z, x."""
_SECOND: Final = _second_order()
_FROM_SECOND: Final = np.linalg.pinv(_SECOND.astype(np.float64)).astype(np.float32)
