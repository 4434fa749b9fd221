"""Constants that a file stores sparsely: TFLite's hierarchical format as dense arrays.

The dimensions of a tensor, followed by those of the blocks that some are cut into, are stored in a traversal order;
each is dense (all indices) or sparse (segments and the indices within). What remains is a tree whose leaves are the
stored values (TensorFlow, lite/schema/schema.fbs, SparsityParameters; F. Kjolstad et al., The Tensor Algebra Compiler,
2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Dimension:
    """How one dimension is stored: ``size`` indices each, or per parent ``indices[segments[i]:segments[i + 1]]``."""

    size: int
    segments: NDArray[np.int64] | None = None
    indices: NDArray[np.int64] | None = None


def densify(
    values: NDArray[Any],
    shape: tuple[int, ...],
    traversal: list[int],
    block_map: list[int],
    dimensions: list[Dimension],
) -> NDArray[Any]:
    """The dense array (``shape``) of stored ``values`` (N,).

    Args:
        values: one per leaf, in storage order.
        shape: of the result.
        traversal: for each level the dimension it stores; from ``len(shape)`` on they are dimensions of blocks.
        block_map: for each block dimension the dimension of ``shape`` it subdivides.
        dimensions: for each level how it is stored.

    Raises:
        ValueError: the description does not fit the shape or the values.
    """
    if len(traversal) != len(dimensions) or sorted(traversal) != list(range(len(shape) + len(block_map))):
        raise ValueError("a sparse tensor's traversal order does not fit its dimensions")
    places = int(np.prod(shape, dtype=np.int64))
    # One row of coordinates per node of the level reached so far.
    coordinates = np.zeros((1, 0), np.int64)
    for level in dimensions:
        nodes = len(coordinates)
        if level.segments is None or level.indices is None:
            if not 0 <= nodes * level.size <= places:
                raise ValueError("a sparse tensor's dimensions are larger than its shape")
            counts = np.full(nodes, level.size)
            own = np.tile(np.arange(level.size), nodes)
        else:
            if len(level.segments) != nodes + 1 or level.segments[-1] != len(level.indices):
                raise ValueError("a sparse tensor's segments do not fit its indices")
            counts = np.diff(level.segments)
            own = level.indices
        coordinates = np.column_stack([np.repeat(coordinates, counts, axis=0), own])
    if len(coordinates) != len(values):
        raise ValueError(f"a sparse tensor holds {len(values)} values for {len(coordinates)} places")
    by_dimension = np.empty_like(coordinates)
    by_dimension[:, traversal] = coordinates
    place = by_dimension[:, : len(shape)]
    block_sizes = {dimension: level.size for dimension, level in zip(traversal, dimensions, strict=True)}
    for block, dimension in enumerate(block_map):
        inner = len(shape) + block
        place[:, dimension] = place[:, dimension] * block_sizes[inner] + by_dimension[:, inner]
    if np.any(place >= shape):
        raise ValueError("a sparse tensor's indices lie outside its shape")
    dense = np.zeros(shape, values.dtype)
    dense[tuple(place.T)] = values
    return dense
