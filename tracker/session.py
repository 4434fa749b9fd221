"""A live session: the pipeline with everything that hangs on it (publisher, take, status, control)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracker.errors import ConfigError
from tracker.latency import age_ms
from tracker.pipeline import Pipeline
from tracker.publishing.control import Handler
from tracker.publishing.publisher import Publisher
from tracker.recording.switch import TakeSwitch
from tracker.session_control import recording_handlers, source_handlers, tracker_handlers
from tracker.sources.base import FrameSource
from tracker.tracking import FrameTracker
from tracker.types import Frame, FrameResult, Notice

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
        self,
        source: FrameSource,
        tracker: FrameTracker,
        publisher: Publisher,
        takes: TakeSwitch | None = None,
        forward: Callable[[FrameResult], None] = lambda result: None,
        open_source: Callable[[str], FrameSource] | None = None,
        on_frame: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        """``forward`` gets every result once it is published, ``on_frame`` every frame before it is tracked; neither may wait."""
        self._source = source
        self._tracker = tracker
        self._publisher = publisher
        self._takes = takes
        self._forward = forward
        self._open_source = open_source
        self._next_source: FrameSource | None = None
        self._changing = threading.Lock()
        self._over = False
        self._on_frame = on_frame
        self._pipeline = Pipeline(source, tracker, on_frame=on_frame)
        self._on_notice: Callable[[Notice], None] = lambda notice: None
        self._stop = threading.Event()
        self._captured_s: deque[float] = deque()
        """When the frames of the latest results were captured."""
        self._age_s = 0.0
        """How old the latest result was when it was delivered."""
        self._frames = 0
        self._dropped_before = 0
        self._faces = 0
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End the session after the present frame. May be called from any thread or signal handler."""
        self._stop.set()

    def handlers(self) -> Mapping[str, Handler]:
        """The control verbs of a session: ``schema``, ``stop`` and those of ``session_control``."""

        def stop(request: Mapping[str, Any]) -> dict[str, Any]:
            self.stop()
            return {"ok": True}

        handlers: dict[str, Handler] = {"schema": lambda request: self._publisher.schema, "stop": stop}
        handlers |= tracker_handlers(self._tracker)
        if self._takes is not None:
            handlers |= recording_handlers(self._takes)
        if self._open_source is not None:
            handlers |= source_handlers(self._check_no_take, self._open_source, self.change_source)
        return handlers

    def change_source(self, source: FrameSource) -> None:
        """Go on with another source, which the session then closes. May be called from any thread.

        Raises:
            ConfigError: a take is being recorded, which holds one source, or the session is over.
        """
        self._check_no_take()
        with self._changing:
            if self._over or self._next_source is not None:
                raise ConfigError("the session is ending" if self._over else "another source is being opened")
            self._next_source = source
            self._pipeline.close()

    def _check_no_take(self) -> None:
        if self._takes is not None and self._takes.path is not None:
            raise ConfigError("a take is being recorded, and a take holds one source; stop it first")

    def run(
        self,
        frames: int | None = None,
        on_status: Callable[[SessionStatus], None] = lambda status: None,
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> SessionStatus:
        """Work until the end; returns the final status.

        Args:
            frames: stop after this many.
            on_status: called every half second from a thread of the session, also while no frame comes.
            on_notice: called with what is published as events: calibrated, another person ...

        Raises:
            tracker.errors.TrackerError: a stage failed for a reason the user can mend.
        """
        self._on_notice = on_notice
        # What a camera captured while the networks were loading is no sign of a slow machine.
        self._dropped_before = self._source.dropped
        watcher = threading.Thread(target=self._watch, args=(on_status,), name="tracker-status", daemon=True)
        watcher.start()
        try:
            while True:
                for result in self._pipeline:
                    self._deliver(result)
                    if self._stop.is_set() or self._frames == frames:
                        break
                if not self._begin_next_source(ending=self._stop.is_set() or self._frames == frames):
                    break
        finally:
            self._stop.set()
            self._pipeline.close()
            watcher.join()
        if self._failure is not None:
            raise self._failure
        status = self._status()
        self._publisher.status({**status.to_message(), "camera": "ended"})
        return status

    def _begin_next_source(self, *, ending: bool) -> bool:
        """Whether there is another source to go on with."""
        with self._changing:
            source, self._next_source = self._next_source, None
            # Asked again under the lock: who stops the session from now on closes the new pipeline.
            if source is None or ending or self._stop.is_set():
                self._over = True
                if source is not None:
                    source.close()
                return False
            self._pipeline.close()
            self._dropped_before -= self._source.dropped
            self._source = source
            self._dropped_before += source.dropped
            self._tracker.reset()
            self._pipeline = Pipeline(source, self._tracker, self._pipeline.metrics, self._on_frame)
        self._publisher.event("source-changed", text=f"now tracking {source.name}")
        return True

    def _watch(self, on_status: Callable[[SessionStatus], None]) -> None:
        try:
            while not self._stop.wait(_STATUS_PERIOD_S):
                status = self._status()
                self._publisher.status(status.to_message())
                on_status(status)
        except Exception as error:  # raised where the session is run
            self._failure = error
            self._stop.set()
        finally:
            # A source that waits for its next frame would otherwise not notice that it is over.
            with self._changing:
                self._pipeline.close()

    def _deliver(self, result: FrameResult) -> None:
        started = time.perf_counter_ns()
        self._publisher.publish(result)
        for notice in result.notices:
            self._publisher.event(notice.kind, **{"frame": result.index, **notice.fields})
            self._on_notice(notice)
        self._forward(result)
        latency_ms = age_ms(result)
        self._pipeline.metrics.record("latency", latency_ms)
        self._pipeline.metrics.record("publish", (time.perf_counter_ns() - started) * 1e-6)
        if self._takes is not None:
            self._takes.write(result)
        self._frames += 1
        self._faces = len(result.faces)
        self._age_s = latency_ms * 1e-3
        self._captured_s.append(time.monotonic() - self._age_s)

    def _rate(self) -> float:
        """Results per second over the last seconds.

        Counted from when their frames were captured: frames queue up behind a slow first one and leave in a burst.
        """
        now_s = time.monotonic() - self._age_s
        while self._captured_s and now_s - self._captured_s[0] > _RATE_WINDOW_S:
            self._captured_s.popleft()
        span_s = now_s - self._captured_s[0] if self._captured_s else 0.0
        return (len(self._captured_s) - 1) / span_s if span_s > 0.0 else 0.0

    def _status(self) -> SessionStatus:
        stages = self._pipeline.metrics.snapshot()
        latency = stages.pop("latency", {"p50": 0.0, "p95": 0.0})
        return SessionStatus(
            frames=self._frames,
            faces=self._faces,
            fps=round(self._rate(), 2),
            dropped=self._source.dropped - self._dropped_before,
            state=self._source.state,
            latency_p50_ms=latency["p50"],
            latency_p95_ms=latency["p95"],
            stages=stages,
        )
