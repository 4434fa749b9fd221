"""A head whose correspondence to the built-in one is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stranger:
    """Another person of the built-in population, in centimetres, moved away, its vertices in another order."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    order: NDArray[np.intp]
    """Vertex ``k`` is vertex ``order[k]`` of the built-in head."""
    shape_m: NDArray[np.float64]
    """(Vb, 3) the person in the built-in head's order, metres."""
