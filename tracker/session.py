"""A live session: the pipeline with everything that hangs on it (publisher, take, status, control)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracker.latency import age_ms
from tracker.pipeline import Pipeline
from tracker.publishing.control import Handler
from tracker.publishing.publisher import Publisher
from tracker.recording import TakeWriter
from tracker.sources.base import FrameSource
from tracker.tracking import FrameTracker
from tracker.types import FrameResult

_STATUS_PERIOD_S = 0.5
_RATE_WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """What a session is doing, as shown to the user and published in ``face/status/``."""

    frames: int
    faces: int
    """Faces in the latest frame."""
    fps: float
    dropped: int
    state: str
    """The source's state."""
    latency_p50_ms: float
    """Capture to publish."""
    latency_p95_ms: float
    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_message(self) -> dict[str, Any]:
        """As published."""
        return {
            "fps": self.fps,
            "frames": self.frames,
            "faces": self.faces,
            "dropped": self.dropped,
            "camera": self.state,
            "latency_ms": {"p50": self.latency_p50_ms, "p95": self.latency_p95_ms},
            "stages": self.stages,
        }


class LiveSession:
    """Tracks a source until it ends or ``stop`` is called, publishing every result and recording it if asked."""

    def __init__(
        self, source: FrameSource, tracker: FrameTracker, publisher: Publisher, writer: TakeWriter | None = None
    ) -> None:
        self._source = source
        self._tracker = tracker
        self._publisher = publisher
        self._writer = writer
        self._pipeline = Pipeline(source, tracker)
        self._stop = threading.Event()
        self._done_s: list[float] = []
        self._frames = 0

    def stop(self) -> None:
        """End the session after the present frame. May be called from any thread or signal handler."""
        self._stop.set()

    def handlers(self) -> Mapping[str, Handler]:
        """The control verbs of a session: ``schema``, ``recenter``, ``stop``."""

        def recenter(request: Mapping[str, Any]) -> dict[str, Any]:
            self._tracker.request_recenter()
            self._publisher.event("recentered")
            return {"ok": True}

        def stop(request: Mapping[str, Any]) -> dict[str, Any]:
            self.stop()
            return {"ok": True}

        return {"schema": lambda request: self._publisher.schema, "recenter": recenter, "stop": stop}

    def run(
        self, frames: int | None = None, on_status: Callable[[SessionStatus], None] = lambda status: None
    ) -> SessionStatus:
        """Work until the end; returns the final status.

        Args:
            frames: stop after this many.
            on_status: called every half second from this thread.

        Raises:
            tracker.errors.TrackerError: a stage failed for a reason the user can mend.
        """
        watcher = threading.Thread(target=self._end_on_stop, name="tracker-stop", daemon=True)
        watcher.start()
        due_s = time.monotonic() + _STATUS_PERIOD_S
        faces = 0
        try:
            for result in self._pipeline:
                self._deliver(result)
                faces = len(result.faces)
                now_s = time.monotonic()
                if now_s >= due_s:
                    due_s = now_s + _STATUS_PERIOD_S
                    status = self._status(faces, now_s)
                    self._publisher.status(status.to_message())
                    on_status(status)
                if self._stop.is_set() or self._frames == frames:
                    break
        finally:
            self._stop.set()
            self._pipeline.close()
            watcher.join()
        status = self._status(faces, time.monotonic())
        self._publisher.status({**status.to_message(), "camera": "ended"})
        return status

    def _end_on_stop(self) -> None:
        # A source that waits for its next frame would otherwise not notice.
        self._stop.wait()
        self._pipeline.close()

    def _deliver(self, result: FrameResult) -> None:
        started = time.perf_counter_ns()
        self._publisher.publish(result)
        self._pipeline.metrics.record("latency", age_ms(result))
        self._pipeline.metrics.record("publish", (time.perf_counter_ns() - started) * 1e-6)
        if self._writer is not None:
            self._writer.write(result)
        self._frames += 1
        self._done_s.append(time.monotonic())

    def _status(self, faces: int, now_s: float) -> SessionStatus:
        self._done_s = [t for t in self._done_s if now_s - t < _RATE_WINDOW_S]
        span_s = now_s - self._done_s[0] if len(self._done_s) > 1 else float("nan")
        stages = self._pipeline.metrics.snapshot()
        latency = stages.pop("latency", {"p50": 0.0, "p95": 0.0})
        return SessionStatus(
            frames=self._frames,
            faces=faces,
            fps=round((len(self._done_s) - 1) / span_s, 2) if np.isfinite(span_s) and span_s > 0 else 0.0,
            dropped=self._source.dropped,
            state=self._source.state,
            latency_p50_ms=latency["p50"],
            latency_p95_ms=latency["p95"],
            stages=stages,
        )
