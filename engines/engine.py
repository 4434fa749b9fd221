"""What every backend offers, and the checks they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class EngineError(Exception):
    """A network cannot be loaded or was fed something it does not take. The message is one line meant for the user."""


class TensorSpec(NamedTuple):
    """One input or output of a network."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}[{', '.join(map(str, self.shape))}]"


class Engine(ABC):
    """A compiled network with fixed shapes that runs on the calling thread. Not to be shared between threads.

    The arrays of ``buffers`` are the network's own input memory: fill them in place and call ``run()`` and nothing is
    copied.
    """

    backend: str
    """Name of the backend, e.g. ``openvino``."""
    precision: str
    """Arithmetic the network runs in, ``f32`` or ``bf16``."""

    def __init__(self, path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self.path = path
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.buffers: dict[str, Array] = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.inputs}

    @abstractmethod
    def run(self) -> tuple[Array, ...]:
        """Run on what ``buffers`` hold. The outputs, in the order of ``outputs``, are overwritten by the next run."""

    def infer(self, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Check and copy ``inputs`` (one array, or one per input name) and run.

        Returns the outputs by name; they are overwritten by the next run.

        Raises:
            EngineError: a name, shape or type differs from what the network takes.
        """
        if not isinstance(inputs, Mapping):
            if len(self.inputs) != 1:
                raise EngineError(
                    f"{self.path.name} takes {len(self.inputs)} inputs ({_listed(self.inputs)}), got one array"
                )
            inputs = {self.inputs[0].name: inputs}
        if inputs.keys() != self.buffers.keys():
            raise EngineError(
                f"{self.path.name} takes the inputs {_listed(self.inputs)}, got {', '.join(inputs) or 'none'}"
            )
        for spec in self.inputs:
            given = inputs[spec.name]
            if given.shape != spec.shape:
                raise EngineError(
                    f"{self.path.name}: input {spec.name} must have shape {spec.shape}, got {given.shape}"
                )
            if not np.can_cast(given.dtype, spec.dtype, "same_kind"):
                raise EngineError(
                    f"{self.path.name}: input {spec.name} must be {spec.dtype.name}, got {given.dtype.name}"
                )
            np.copyto(self.buffers[spec.name], given, casting="same_kind")
        return dict(zip((spec.name for spec in self.outputs), self.run(), strict=True))

    def describe(self) -> str:
        """One line: file, backend, precision, inputs and outputs."""
        return (
            f"{self.path.name} on {self.backend} ({self.precision}): {_listed(self.inputs)} -> {_listed(self.outputs)}"
        )


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(map(str, specs))


def fixed_shape(dimensions: Sequence[int | str | None]) -> tuple[int, ...]:
    """A network's declared shape with its open dimensions (batch) set to 1."""
    return tuple(size if isinstance(size, int) and size > 0 else 1 for size in dimensions)
