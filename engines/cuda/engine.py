"""Networks that run on the GPU between memory of ours: what TensorRT and torch have in common."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from engines.artifact import ArtifactHeader
from engines.cuda.device import Device, Memory
from engines.engine import Array, Engine, TensorSpec
from engines.errors import EngineError

_LOGGER = logging.getLogger(__name__)
_UPLOADED: Final = "uploaded"

Link = Callable[[int, int], None]
"""Begins the work between one network and the next: rows, stream."""


class Recorded(Protocol):
    """A CUDA graph."""

    def launch(self, stream: int) -> None:
        """Start it on ``stream``."""


class DeviceEngine(Engine):
    """An engine with its own memory and stream on the GPU. Runs are recorded as CUDA graphs, one for each number of rows and
    each way in which the inputs are filled.
    """

    def __init__(self, path: Path, header: ArtifactHeader, device: Device) -> None:
        """Take memory for the largest batch. Raises EngineError when the GPU has not that much."""
        self.device = device
        with device.active():
            super().__init__(path, header.inputs, header.outputs, header.batch, header.network)
            self.precision = header.precision
            self.stream = device.stream()
            self.buffers = {spec.name: device.page_locked(spec.shape, spec.dtype) for spec in self.inputs}
            self.results = tuple(device.page_locked(spec.shape, spec.dtype) for spec in self.outputs)
            self._memory = {spec.name: self._take(spec) for spec in (*self.inputs, *self.outputs)}
        self.graphs = True
        """Whether runs are recorded as CUDA graphs; ask for it before the first run."""
        self._recorded: dict[tuple[int, str], Recorded | None] = {}
        self._behind: list[tuple[Link, DeviceEngine]] = []

    def memory(self, name: str) -> Memory:
        """An input's or output's memory on the GPU."""
        return self._memory[name]

    @abstractmethod
    def begin(self, count: int, stream: int) -> None:
        """Begin the network on the first ``count`` rows of its inputs' memory. Raises EngineError when it does not run."""

    def warmed(self) -> None:
        """Called after the first run with a number of rows."""

    def record(self, work: Callable[[], None]) -> Recorded:
        """What ``work`` begins on ``stream`` as a graph. Raises EngineError when it cannot be recorded."""
        return self.device.record(self.stream, work)

    def follow_with(self, engine: DeviceEngine, link: Link) -> None:
        """Let another network run behind this one, in the same graph; its outputs come back behind this one's.

        Args:
            engine: takes at least as many rows as this one; not to be run by itself any more.
            link: fills its inputs from this one's outputs; begins the same work every time.

        Raises:
            EngineError: it takes fewer rows.
        """
        if engine.batch.maximum < self.batch.maximum or engine.batch.minimum > self.batch.minimum:
            raise EngineError(f"{engine.path.name} takes {engine.batch} rows, {self.path.name} gives {self.batch}")
        self._behind.append((link, engine))
        self._recorded.clear()

    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """See ``Engine.run``."""
        rows = self.batch.maximum if count is None else count

        def feed() -> None:
            for spec in self.inputs:
                self.device.upload(self._memory[spec.name].address, self.buffers[spec.name][:rows], self.stream)

        return self.run_fed(rows, feed, _UPLOADED)

    def run_fed(self, count: int, feed: Callable[[], None], way: str) -> tuple[Array, ...]:
        """Run on what ``feed`` puts into the inputs' memory.

        Args:
            count: rows, within ``batch``.
            feed: begins work on ``stream`` that fills the inputs. It is called once for each ``count`` and ``way`` when runs
                are recorded, so it must begin the same work every time.
            way: name of what ``feed`` does.

        Returns:
            As ``run``.
        """
        engines = (self, *(engine for _, engine in self._behind))

        def work() -> None:
            feed()
            self.begin(count, self.stream)
            for link, engine in self._behind:
                link(count, self.stream)
                engine.begin(count, self.stream)
            for engine in engines:
                for spec, result in zip(engine.outputs, engine.results, strict=True):
                    self.device.download(result[:count], engine.memory(spec.name).address, self.stream)

        with self.device.active():
            key = count, way
            if key not in self._recorded:
                # The first run chooses or finishes kernels for this GPU, which cannot be recorded.
                work()
                self.device.wait(self.stream)
                for engine in engines:
                    engine.warmed()
                self._recorded[key] = self._graph(work)
            else:
                graph = self._recorded[key]
                if graph is None:
                    work()
                else:
                    graph.launch(self.stream)
                self.device.wait(self.stream)
        return tuple(result[:count] for engine in engines for result in engine.results)

    def forget(self, way: str) -> None:
        """Record anew what was fed in this way: its memory has moved."""
        self._recorded = {key: graph for key, graph in self._recorded.items() if key[1] != way}

    def _graph(self, work: Callable[[], None]) -> Recorded | None:
        if not self.graphs:
            return None
        try:
            return self.record(work)
        except EngineError as error:
            _LOGGER.warning("%s runs without a CUDA graph: %s", self.path.name, error)
            return None

    def _take(self, spec: TensorSpec) -> Memory:
        return self.device.allocate(size_bytes(spec))


def size_bytes(spec: TensorSpec) -> int:
    """What a tensor takes, at least a byte."""
    size: Any = spec.dtype.itemsize
    for axis in spec.shape:
        size *= axis
    return max(int(size), 1)
