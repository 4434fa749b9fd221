"""A network as a list of operators in the order they run: the form between .tflite files and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Tensor:
    """A value of the network: an input, a constant or what an operator writes."""

    name: str
    shape: tuple[int, ...]
    """TFLite's layout: pictures are (batch, height, width, channels)."""
    dtype: np.dtype[Any]
    data: NDArray[Any] | None = None
    """The content of a constant, dense and in float32 where the file holds float16; None otherwise."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One step. ``inputs`` and ``outputs`` are indices of the graph's tensors; -1 is an optional input left out."""

    kind: str
    """TFLite's name of it, such as ``CONV_2D``."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    """What TFLite's schema calls builtin options, under its names; padding and activation by name."""


@dataclass(slots=True)
class Graph:
    """A network read from a file."""

    name: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, index: int) -> NDArray[Any]:
        """The content of a constant tensor. Raises KeyError when it is not constant."""
        data = self.tensors[index].data
        if data is None:
            raise KeyError(self.tensors[index].name)
        return data

    def is_constant(self, index: int) -> bool:
        return index >= 0 and self.tensors[index].data is not None
