"""A live session without networks: its ends, its failures, and changes of its source."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.recording.factory import make_frame
from tests.toy_model import toy_model
from tracker.config import TrackerConfig
from tracker.errors import ConfigError
from tracker.publishing.config import PublishConfig
from tracker.publishing.describe import describe_model
from tracker.publishing.publisher import Publisher
from tracker.recording import open_writer
from tracker.recording.switch import TakeSwitch
from tracker.session import LiveSession, SessionStatus
from tracker.sources.base import FrameSource
from tracker.tracking import EncodedFrame, FrameTracker
from tracker.types import Frame, FrameResult

MODEL = toy_model()


class Blind:
    """A tracker that finds nobody."""

    config = TrackerConfig()

    def __init__(self) -> None:
        self.resets = 0

    def encode(self, frame: Frame) -> EncodedFrame:
        return EncodedFrame(frame, [], {"encode": 0.1})

    def fit(self, encoded: EncodedFrame) -> FrameResult:
        return make_frame(encoded.frame.index, ())

    def reset(self) -> None:
        self.resets += 1


class Waiting(FrameSource):
    """``count`` frames, then nothing until it is closed."""

    live = True

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self._left = count
        self._closed = threading.Event()

    def read(self) -> Frame | None:
        if self._left == 0:
            self._closed.wait()
        if self._closed.is_set():
            return None
        self._left -= 1
        return Frame(np.zeros((4, 4, 3), np.uint8), 0, time.monotonic_ns(), "CLOCK_MONOTONIC", time.time_ns())

    def close(self) -> None:
        self._closed.set()
        super().close()


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(
        PublishConfig(bind=f"ipc://{tmp_path}/frames", latest=None, control=None), describe_model(MODEL)
    ) as it:
        yield it


def session_of(source: FrameSource, publisher: Publisher, takes: TakeSwitch | None = None) -> tuple[LiveSession, Blind]:
    blind = Blind()
    opened = {"second": 3, "third": 1}
    session = LiveSession(
        source,
        cast(FrameTracker, blind),
        publisher,
        takes,
        open_source=lambda name: Waiting(name, opened[name]),
    )
    return session, blind


def test_what_goes_wrong_with_the_status_ends_a_session_whose_source_waits(publisher: Publisher) -> None:
    session, _ = session_of(Waiting("first", 2), publisher)

    def broken(status: SessionStatus) -> None:
        raise ZeroDivisionError("no terminal")

    with pytest.raises(ZeroDivisionError, match="no terminal"):
        session.run(on_status=broken)


def test_another_source_takes_over_and_its_frames_count_on(publisher: Publisher) -> None:
    first = Waiting("first", 2)
    session, blind = session_of(first, publisher)
    handlers = session.handlers()
    threading.Timer(0.2, lambda: handlers["camera.open"]({"source": "second"})).start()
    status = session.run(frames=5)
    assert (status.frames, blind.resets, first.state) == (5, 1, "closed")


def test_no_other_source_is_opened_while_a_take_is_on(publisher: Publisher, tmp_path: Path) -> None:
    with TakeSwitch(lambda path, overwrite: open_writer(path, model=MODEL, overwrite=overwrite)) as takes:
        session, _ = session_of(Waiting("first", 2), publisher, takes)
        takes.start(tmp_path / "take.jsonl")
        with pytest.raises(ConfigError, match="a take is being recorded"):
            session.handlers()["camera.open"]({"source": "unknown to the opener"})
        takes.stop()


def test_stopping_while_the_source_changes_leaves_nothing_running(publisher: Publisher) -> None:
    session, _ = session_of(Waiting("first", 1), publisher)
    late = Waiting("late", 0)

    def change_and_stop() -> None:
        session.change_source(late)
        session.stop()

    threading.Timer(0.2, change_and_stop).start()
    status = session.run()
    assert status.frames == 1 and late.state == "closed"
