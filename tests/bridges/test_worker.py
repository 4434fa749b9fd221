"""The thread of a bridge: newest wins, rate limited, kept alive, and trouble is told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tracker.bridges.bridge import Bridge, BridgeFrame
from tracker.bridges.worker import BridgeWorker

Frames = Callable[..., BridgeFrame]


class Notebook(Bridge):
    """Notes what it is told to send; may be slow, or fail."""

    def __init__(self, *, slow_s: float = 0.0) -> None:
        self.frames: list[BridgeFrame] = []
        self.alive = 0
        self.closed = 0
        self.slow_s = slow_s
        self.failing = False
        self.sending = threading.Event()

    @property
    def target(self) -> str:
        return "a notebook"

    def send(self, frame: BridgeFrame) -> None:
        self.sending.set()
        time.sleep(self.slow_s)
        if self.failing:
            raise OSError(101, "Network is unreachable")
        self.frames.append(frame)

    def keep_alive(self) -> None:
        self.alive += 1

    def close(self) -> None:
        self.closed += 1


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 3.0
    while not condition():
        assert time.monotonic() < deadline_s, "nothing happened"
        time.sleep(0.002)


def test_what_was_offered_last_is_sent_before_the_end(as_frame: Frames) -> None:
    notebook, frame = Notebook(), as_frame()
    worker = BridgeWorker(notebook)
    worker.offer(frame)
    worker.close()
    worker.close()
    assert notebook.frames == [frame]
    assert notebook.closed == 1
    assert worker.sent == 1


def test_a_slow_receiver_gets_the_newest_frame_and_delays_nobody(as_frame: Frames) -> None:
    notebook = Notebook(slow_s=0.1)
    frames = [as_frame() for _ in range(50)]
    with BridgeWorker(notebook) as worker:
        worker.offer(frames[0])
        assert notebook.sending.wait(3.0)
        started_s = time.monotonic()
        for frame in frames[1:]:
            worker.offer(frame)
        assert time.monotonic() - started_s < 1.0, "the 49 frames would take 4.9 s if they were waited for"
    assert len(notebook.frames) == 2
    assert notebook.frames[0] is frames[0]
    assert notebook.frames[1] is frames[-1]


def test_the_rate_is_limited(as_frame: Frames) -> None:
    notebook = Notebook()
    notebook.most_per_s = 20.0
    with BridgeWorker(notebook) as worker:
        started_s = time.monotonic()
        while time.monotonic() - started_s < 0.5:
            worker.offer(as_frame())
            time.sleep(0.002)
        elapsed_s = time.monotonic() - started_s
    assert 2 <= len(notebook.frames) <= elapsed_s * 20.0 + 2


def test_silence_is_kept_alive() -> None:
    notebook = Notebook()
    notebook.keep_alive_s = 0.02
    with BridgeWorker(notebook):
        wait_for(lambda: notebook.alive >= 3)


def test_a_failing_network_is_told_once_and_recovers(as_frame: Frames) -> None:
    notebook, told = Notebook(), []
    notebook.failing = True
    with BridgeWorker(notebook, told.append) as worker:
        for _ in range(3):
            before = worker.failed
            worker.offer(as_frame())
            wait_for(lambda before=before: worker.failed > before)  # type: ignore[misc]
        notebook.failing = False
        worker.offer(as_frame())
        wait_for(lambda: worker.sent == 1)
    assert told == ["a notebook: Network is unreachable; still trying", "a notebook: sending again"]


def test_a_defect_is_told_and_logged_once_and_ends_nothing(as_frame: Frames, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Notebook):
        def send(self, frame: BridgeFrame) -> None:
            if self.failing:
                raise ZeroDivisionError("by zero")
            super().send(frame)

    notebook, told = Broken(), []
    notebook.failing = True
    with BridgeWorker(notebook, told.append) as worker:
        for failures in (1, 2):
            worker.offer(as_frame())
            wait_for(lambda failures=failures: worker.failed == failures)  # type: ignore[misc]
        notebook.failing = False
        worker.offer(as_frame())
        wait_for(lambda: worker.sent == 1)
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
    assert told == [
        "a notebook: internal error: ZeroDivisionError: by zero; still trying",
        "a notebook: sending again",
    ]
