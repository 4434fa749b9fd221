"""What every backend offers, and the checks they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engines.batch import BatchProfile
from engines.errors import EngineError
from engines.header import NetworkHeader

__all__ = ["Array", "Engine", "EngineError", "TensorSpec", "fixed_shape"]

Array = NDArray[Any]


class TensorSpec(NamedTuple):
    """One input or output of a network."""

    name: str
    shape: tuple[int, ...]
    """With as many rows as the engine takes at most."""
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}[{', '.join(map(str, self.shape))}]"


class Engine(ABC):
    """A compiled network with memory for one run at a time, on the calling thread. Not to be shared between threads:
    ``another()`` gives a second one over the same compiled network.

    The arrays of ``buffers`` are the network's own input memory: fill them in place and call ``run()`` and nothing is
    copied. They have room for ``batch.maximum`` rows; ``run(n)`` looks at the first n.
    """

    backend: str
    """Name of the backend, e.g. ``openvino``."""
    precision: str
    """Arithmetic the network runs in, one of ``engines.precision.PRECISIONS``."""

    def __init__(
        self,
        path: Path,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        batch: BatchProfile | None = None,
        network: NetworkHeader | None = None,
    ) -> None:
        """See the class.

        Args:
            path: the file it was made of: its name appears in messages.
            inputs: shapes with ``batch.maximum`` rows.
            outputs: shapes with ``batch.maximum`` rows.
            batch: the numbers of rows it takes; None where the first axis is what the file says and nothing else.
            network: what the file says about itself.
        """
        self.path = path
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        rows = inputs[0].shape[0] if inputs and inputs[0].shape else 1
        self.batch = BatchProfile(rows, rows, rows) if batch is None else batch
        self.network = network
        self.buffers: dict[str, Array] = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.inputs}

    @abstractmethod
    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """Run on the first ``count`` rows of ``buffers``, by default on all.

        Returns the outputs, in the order of ``outputs``, with that many rows; they are overwritten by the next run.
        ``count`` is not checked here: it must lie within ``batch``.
        """

    @abstractmethod
    def another(self) -> Self:
        """An engine over the same compiled network with buffers of its own, for another thread or stream."""

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
        count = None if self.batch.fixed else self._rows(inputs)
        for spec in self.inputs:
            given = inputs[spec.name]
            expected = spec.shape if count is None else (count, *spec.shape[1:])
            if given.shape != expected:
                raise EngineError(f"{self.path.name}: input {spec.name} must have shape {expected}, got {given.shape}")
            if not np.can_cast(given.dtype, spec.dtype, "same_kind"):
                raise EngineError(
                    f"{self.path.name}: input {spec.name} must be {spec.dtype.name}, got {given.dtype.name}"
                )
            target = self.buffers[spec.name]
            np.copyto(target if count is None else target[:count], given, casting="same_kind")
        return dict(zip((spec.name for spec in self.outputs), self.run(count), strict=True))

    def _rows(self, inputs: Mapping[str, Array]) -> int:
        given = next(iter(inputs.values()))
        count = given.shape[0] if given.ndim else 0
        if not self.batch.minimum <= count <= self.batch.maximum:
            raise EngineError(
                f"{self.path.name} takes {self.batch.minimum} to {self.batch.maximum} rows at once, got {count}; "
                f"for more run: engines build {self.path.name} --backend {self.backend} "
                f"--precision {self.precision} --batch 1:{max(count, 1)}"
            )
        return count

    def describe(self) -> str:
        """One line: file, backend, precision, batch, inputs and outputs."""
        batch = "" if self.batch.fixed else f", batch {self.batch}"
        return (
            f"{self.path.name} on {self.backend} ({self.precision}{batch}): "
            f"{_listed(self.inputs)} -> {_listed(self.outputs)}"
        )


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(map(str, specs))


def fixed_shape(dimensions: Sequence[int | str | None], rows: int = 1) -> tuple[int, ...]:
    """A network's declared shape with its open dimensions (batch) set to ``rows``."""
    return tuple(size if isinstance(size, int) and size > 0 else rows for size in dimensions)
