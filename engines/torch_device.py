"""Torch's networks on an NVIDIA GPU, between the memory, streams and graphs of ``engines.cuda.engine``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch

from engines.artifact import ArtifactHeader
from engines.cuda.device import Device, Memory
from engines.cuda.engine import DeviceEngine, Recorded, size_bytes
from engines.engine import TensorSpec
from engines.errors import EngineError, first_line
from engines.torch_backend import compute, torch_type


class _TensorMemory(Memory):
    """A tensor whose memory kernels of ours read and write too."""

    def __init__(self, tensor: torch.Tensor, wanted_bytes: int) -> None:
        self.tensor = tensor
        self.address = tensor.data_ptr()
        self.size_bytes = wanted_bytes


class _Graph:
    """A graph of torch's, started on any stream of ours."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def launch(self, stream: int) -> None:
        """See ``Recorded``."""
        with torch.cuda.stream(_external(stream)):
            self._graph.replay()


class TorchDeviceEngine(DeviceEngine):
    """An exported program between tensors that the crop kernel writes into."""

    backend = "torch"

    def __init__(self, path: Path, header: ArtifactHeader, module: Any, device: Device, place: str = "cuda") -> None:
        """Take memory for the largest batch.

        Args:
            path: the artifact.
            header: its header.
            module: the network, at ``place``.
            device: the GPU as our kernels see it.
            place: where torch's tensors lie: memory that ``device`` can reach.

        Raises:
            EngineError: the GPU has not that much memory.
        """
        self._place = place
        super().__init__(path, header, device)
        self._header, self._module = header, module

    def another(self) -> Self:
        """See ``Engine.another``."""
        return type(self)(self.path, self._header, self._module, self.device, self._place)

    def begin(self, count: int, stream: int) -> None:
        """See ``DeviceEngine.begin``."""
        given = [self._tensor(spec)[:count] for spec in self.inputs]
        try:
            with torch.inference_mode(), self._queue(stream):
                made = compute(self._module, self.precision, self._place, given)
                for spec, tensor in zip(self.outputs, made, strict=True):
                    target = self._tensor(spec)[:count]
                    target.copy_(tensor.reshape(target.shape))
        except torch.cuda.OutOfMemoryError:
            raise EngineError(
                f"engine {self.path.name}: the GPU's memory is full at {count} rows; build it with a smaller --batch"
            ) from None
        except RuntimeError as error:
            raise EngineError(f"engine {self.path.name}: torch cannot run it ({first_line(error)})") from error

    def record(self, work: Callable[[], None]) -> Recorded:
        """See ``DeviceEngine.record``. Torch records, so that what the network takes in between stays its own."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=_external(self.stream), capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            raise EngineError(f"torch cannot record it ({first_line(error)})") from error
        return _Graph(graph)

    def _queue(self, stream: int) -> AbstractContextManager[Any]:
        return torch.cuda.stream(_external(stream)) if self._place == "cuda" else nullcontext()

    def _tensor(self, spec: TensorSpec) -> torch.Tensor:
        memory = self._memory[spec.name]
        assert isinstance(memory, _TensorMemory)
        return memory.tensor

    def _take(self, spec: TensorSpec) -> Memory:
        try:
            # Nothing is written here: it would be on torch's own stream, which ours does not wait for.
            tensor = torch.empty(spec.shape, dtype=torch_type(spec.dtype), device=self._place)
        except torch.cuda.OutOfMemoryError:
            raise EngineError(f"engine {self.path.name}: the GPU's memory is full; close other programs") from None
        return _TensorMemory(tensor, size_bytes(spec))


def _external(stream: int) -> Any:
    return torch.cuda.ExternalStream(stream)  # type: ignore[no-untyped-call, unused-ignore]
