"""Timing of the stages, and the status that a session makes of it."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from tracker.camera import Camera
from tracker.errors import SourceError
from tracker.latency import age_ms
from tracker.metrics import StageMetrics
from tracker.session import LiveSession
from tracker.sources.base import FrameSource
from tracker.tracking import EncodedFrame
from tracker.types import Frame, FrameResult


def test_percentiles_are_over_the_latest_frames():
    metrics = StageMetrics()
    for value in range(1, 101):
        metrics.record("fit", float(value))
    assert metrics.snapshot() == {"fit": {"p50": 50.5, "p95": 95.05}}
    for _ in range(600):
        metrics.record("fit", 1.0)
    assert metrics.snapshot()["fit"]["p95"] == 1.0


def test_stages_keep_the_order_in_which_they_first_reported():
    metrics = StageMetrics()
    for stage in ("decode", "encode", "fit", "encode"):
        metrics.record(stage, 1.0)
    assert list(metrics.snapshot()) == ["decode", "encode", "fit"]


def test_recording_and_reading_from_several_threads_at_once():
    metrics = StageMetrics()

    def record() -> None:
        for _ in range(2000):
            metrics.record("fit", 1.0)

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.snapshot()
    assert metrics.snapshot()["fit"]["p50"] == 1.0


def result(clock: str, t_capture_ns: int, t_unix_ns: int) -> FrameResult:
    return FrameResult(0, t_capture_ns, clock, t_unix_ns, Camera.for_image(64, 48), ())  # type: ignore[arg-type]


def test_age_is_since_capture_for_live_frames_and_since_reading_for_media():
    live = result("CLOCK_MONOTONIC", time.monotonic_ns() - 40_000_000, 0)
    assert age_ms(live) == pytest.approx(40, abs=15)
    media = result("media", 0, time.time_ns() - 25_000_000)
    assert age_ms(media) == pytest.approx(25, abs=15)


class Pulse(FrameSource):
    """Empty frames at a steady rate; after ``frames`` of them it waits until closed, or fails."""

    live = True
    name = "pulse"

    def __init__(self, rate: Fraction, frames: int, failure: SourceError | None = None) -> None:
        self.rate = rate
        self._frames = frames
        self._failure = failure
        self._start_s = time.monotonic()
        self._next = 0
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        if self._next == self._frames:
            if self._failure is not None:
                raise self._failure
            self.state = "stalled"
            self._closed.wait()
            return None
        due_s = self._start_s + float(self._next / self.rate)
        if self._closed.wait(max(0.0, due_s - time.monotonic())):
            return None
        self._next += 1
        # Stamped when it was due: a slow reader finds it aged, as in a camera's queue.
        return Frame(
            np.zeros((4, 4, 3), np.uint8), self._next - 1, round(due_s * 1e9), "CLOCK_MONOTONIC", time.time_ns()
        )

    def close(self) -> None:
        self._closed.set()


class SlowStart:
    """Stands where the tracker stands; its first frame takes long, as networks' first runs do."""

    def encode(self, frame: Frame) -> EncodedFrame:
        time.sleep(0.3 if frame.index == 0 else 0.0)
        return EncodedFrame(frame, [], {})

    def fit(self, encoded: EncodedFrame) -> FrameResult:
        frame = encoded.frame
        return FrameResult(frame.index, frame.t_capture_ns, frame.clock, frame.t_unix_ns, Camera.for_image(4, 4), (),
                           stage_ms={"fit": 0.1})  # fmt: skip


class Ear:
    """Stands where the publisher stands and remembers."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []
        self.statuses: list[dict] = []

    def publish(self, frame: FrameResult) -> None:
        self.results.append(frame)

    def status(self, fields: dict) -> None:
        self.statuses.append(fields)


def test_the_rate_is_honest_from_the_first_second_on():
    shown = []
    session = LiveSession(Pulse(Fraction(30), 75), SlowStart(), Ear())
    stopper = threading.Timer(2.3, session.stop)
    stopper.start()
    session.run(on_status=lambda status: shown.append(status.fps))
    assert len(shown) >= 3
    assert all(26 < rate < 33 for rate in shown), shown


def test_status_goes_on_while_no_frame_comes_and_stop_ends_the_wait():
    ear = Ear()
    session = LiveSession(Pulse(Fraction(100), 3), SlowStart(), ear)
    threading.Timer(1.3, session.stop).start()
    status = session.run()
    assert status.frames == len(ear.results) == 3
    assert [fields["camera"] for fields in ear.statuses][-2:] == ["stalled", "ended"]


def test_what_fails_in_the_source_or_the_status_is_raised_where_the_session_runs():
    with pytest.raises(SourceError, match="unplugged"):
        LiveSession(Pulse(Fraction(100), 2, SourceError("unplugged")), SlowStart(), Ear()).run()

    def refuse(status: object) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        LiveSession(Pulse(Fraction(100), 2), SlowStart(), Ear()).run(on_status=refuse)
