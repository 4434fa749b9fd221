"""Directions in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def even_directions(count: int) -> NDArray[np.float64]:
    """Evenly spread unit directions (count, 3): a Fibonacci lattice."""
    index = np.arange(count) + 0.5
    height = 1.0 - 2.0 * index / count
    turn = index * np.pi * (1.0 + 5.0**0.5)
    ring = np.sqrt(1.0 - height * height)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)
