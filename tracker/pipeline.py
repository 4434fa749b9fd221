"""The asynchronous pipeline: source -> encode -> fit -> whoever iterates.

    files   decode thread --(2)--> encode thread --(2)--> fit thread --(2)--> iterator     nothing is dropped
    live                           encode thread --(1)--> fit thread --(1)--> iterator     the newest frame wins

A live source captures in a thread of its own and hands out its newest frame, so there the encode thread reads it directly: a
decoded frame that waits in a queue is a frame that grows old. Bounded queues push back; the source counts what it drops.
Decoding, inference and linear algebra release the interpreter lock, which is what lets the stages overlap.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from types import TracebackType
from typing import Generic, TypeVar

from tracker.metrics import StageMetrics
from tracker.sources.base import FrameSource
from tracker.tracking import EncodedFrame, FrameTracker
from tracker.types import Frame, FrameResult

T = TypeVar("T")
_POLL_S = 0.1


class _Channel(Generic[T]):
    """A bounded queue between two stages that ends, fails, or is abandoned as one."""

    def __init__(self, size: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[T | BaseException | None] = queue.Queue(size)
        self._stop = stop

    def put(self, item: T | BaseException | None) -> bool:
        """Wait for room; False when the pipeline was stopped meanwhile."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        """Items until the end; raises what the producer failed with."""
        while True:
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                if self._stop.is_set():
                    return
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


class Pipeline:
    """Iterate over it for one ``FrameResult`` per frame; use it as a context manager so that its threads end.

    What goes wrong in a stage is raised from the iteration. ``close`` may be called from any thread.
    """

    def __init__(
        self,
        source: FrameSource,
        tracker: FrameTracker,
        metrics: StageMetrics | None = None,
        on_frame: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        """``on_frame`` sees every frame before it is tracked, in the encode thread: it must not dawdle."""
        self._on_frame = on_frame
        self._source = source
        self._tracker = tracker
        self.metrics = metrics or StageMetrics()
        self._stop = threading.Event()
        depth = 1 if source.live else 2
        self._frames: _Channel[Frame] = _Channel(depth, self._stop)
        self._encoded: _Channel[EncodedFrame] = _Channel(depth, self._stop)
        self._results: _Channel[FrameResult] = _Channel(depth, self._stop)
        self._threads = [
            self._thread("encode", self._encoded, self._encode),
            self._thread("fit", self._results, self._fit),
        ]
        if not source.live:
            self._threads.insert(0, self._thread("decode", self._frames, self._read))

    def __iter__(self) -> Iterator[FrameResult]:
        for thread in self._threads:
            thread.start()
        try:
            yield from self._results
        finally:
            self.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all stages; results that were not taken are abandoned."""
        self._stop.set()
        self._source.close()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(timeout=5.0)

    def _thread(self, name: str, out: _Channel[T], produce: Callable[[], Iterator[T]]) -> threading.Thread:
        def work() -> None:
            try:
                for item in produce():
                    if not out.put(item):
                        return
            except BaseException as error:  # handed to the consumer, which raises it; without, it would wait for ever
                out.put(error)
            else:
                out.put(None)

        return threading.Thread(target=work, name=f"tracker-{name}", daemon=True)

    def _read(self) -> Iterator[Frame]:
        while True:
            start = perf_counter_ns()
            frame = self._source.read()
            if frame is None:
                return
            if not (self._source.live or self._source.paced):
                self.metrics.record("decode", (perf_counter_ns() - start) * 1e-6)
            yield frame

    def _encode(self) -> Iterator[EncodedFrame]:
        for frame in self._read() if self._source.live else self._frames:
            self._on_frame(frame)
            encoded = self._tracker.encode(frame)
            for stage, milliseconds in encoded.stage_ms.items():
                self.metrics.record(stage, milliseconds)
            yield encoded

    def _fit(self) -> Iterator[FrameResult]:
        for encoded in self._encoded:
            result = self._tracker.fit(encoded)
            for stage in ("fit", "appearance"):
                if stage in result.stage_ms:
                    self.metrics.record(stage, result.stage_ms[stage])
            yield result
