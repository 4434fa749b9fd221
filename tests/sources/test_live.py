from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests.sources.clips import flat
from tests.sources.conftest import Events
from tracker.errors import SourceError
from tracker.sources.live import LiveSource, Patience, Shot

PATIENCE = Patience(stall_s=0.1, first_retry_s=0.02, longest_retry_s=0.05)


class Scripted:
    """A connection whose pictures and end the test feeds in."""

    size = (8, 6)
    rate = Fraction(30)

    def __init__(self, name: str = "camera") -> None:
        self.name = name
        self.script: queue.Queue[int | Exception | None] = queue.Queue()
        self.shown: list[int] = []
        self.closed = False

    def show(self, *levels: int) -> None:
        for level in levels:
            self.script.put(level)

    def read(self) -> Shot | None:
        step = self.script.get()
        if isinstance(step, Exception):
            raise step
        if step is None:
            return None
        self.shown.append(step)
        return Shot(time.monotonic_ns(), lambda: flat(8, 6, step))

    def close(self) -> None:
        self.closed = True


def wait_until(condition: Callable[[], bool], timeout_s: float = 3.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.002)


def level(source: LiveSource) -> int:
    frame = source.read()
    assert frame is not None
    return int(frame.image[0, 0, 0])


def live(*connections: Scripted | SourceError, events: Events | None = None) -> LiveSource:
    waiting = list(connections)

    def connect() -> Scripted:
        following = waiting.pop(0)
        if isinstance(following, SourceError):
            raise following
        return following

    return LiveSource(connect, kind="camera", patience=PATIENCE, on_event=events)


def end(source: LiveSource, connection: Scripted) -> None:
    connection.script.put(None)
    source.close()


def test_frames_carry_what_the_connection_says() -> None:
    connection = Scripted("Desk Cam")
    source = live(connection)
    assert (source.live, source.name, source.size, source.rate, source.frame_count) == (
        True,
        "Desk Cam",
        (8, 6),
        30,
        None,
    )
    before_ns, before_unix_ns = time.monotonic_ns(), time.time_ns()
    connection.show(77)
    frame = source.read()
    assert frame is not None
    assert before_ns <= frame.t_capture_ns <= time.monotonic_ns()
    assert abs((frame.t_unix_ns - before_unix_ns) - (frame.t_capture_ns - before_ns)) < 5_000_000
    assert (frame.clock, frame.index, frame.rate) == ("CLOCK_MONOTONIC", 0, 30)
    np.testing.assert_array_equal(frame.image, flat(8, 6, 77))
    end(source, connection)


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    connection = Scripted()
    source = live(connection)
    connection.show(10, 20, 30, 40)
    wait_until(lambda: connection.shown == [10, 20, 30, 40] and connection.script.empty())
    wait_until(lambda: source.dropped == 3)
    frame = source.read()
    assert frame is not None
    assert (int(frame.image[0, 0, 0]), frame.index, source.dropped) == (40, 3, 3)
    connection.show(50)
    frame = source.read()
    assert frame is not None
    assert (frame.index, source.dropped) == (4, 3)
    end(source, connection)


def test_no_frame_is_returned_twice() -> None:
    connection = Scripted()
    source = live(connection)
    connection.show(10)
    assert level(source) == 10
    later = threading.Timer(0.1, connection.show, [20])
    later.start()
    begin_s = time.monotonic()
    assert level(source) == 20
    assert time.monotonic() - begin_s > 0.05
    end(source, connection)


def test_a_stall_is_told_once_and_so_is_its_end(events: Events) -> None:
    connection = Scripted()
    source = live(connection, events=events)
    connection.show(10)
    assert level(source) == 10
    threading.Timer(0.5, connection.show, [20]).start()
    states = []
    watcher = threading.Timer(0.35, lambda: states.append(source.state))
    watcher.start()
    assert level(source) == 20
    events.wait_for("resumed")
    assert events.kinds == ["stalled", "resumed"]
    assert states == ["stalled"]
    assert source.state == "running"
    end(source, connection)


@pytest.mark.parametrize("loss", [None, SourceError("unplugged")])
def test_what_disappears_is_reopened_as_often_as_it_takes(events: Events, loss: SourceError | None) -> None:
    first, second = Scripted("old"), Scripted("new")
    gone = SourceError("not there")
    source = live(first, gone, gone, gone, second, events=events)
    first.show(10)
    assert level(source) == 10
    first.script.put(loss)
    events.wait_for("camera-lost")
    assert first.closed
    second.show(20)
    assert level(source) == 20
    assert "back after" in events.wait_for("camera-reopened")
    assert events.kinds == ["camera-lost", "camera-reopened"]
    assert (source.name, source.state) == ("new", "running")
    end(source, second)


def test_index_goes_on_over_a_reopening() -> None:
    first, second = Scripted(), Scripted()
    source = live(first, second)
    first.show(10)
    assert level(source) == 10
    first.script.put(None)
    second.show(20)
    frame = source.read()
    assert frame is not None
    assert frame.index == 1
    end(source, second)


def test_the_first_failure_to_open_is_raised() -> None:
    with pytest.raises(SourceError, match="no camera"):
        live(SourceError("no camera"))


def test_close_ends_a_waiting_read_and_releases_the_connection() -> None:
    connection = Scripted()
    source = live(connection)
    results: list[object] = []
    reader = threading.Thread(target=lambda: results.append(source.read()))
    reader.start()
    time.sleep(0.05)
    connection.script.put(None)
    source.close()
    source.close()
    reader.join(1)
    assert results == [None]
    wait_until(lambda: connection.closed)
    assert source.state == "closed"
    assert source.read() is None


def test_close_while_reopening_stops_trying(events: Events) -> None:
    first = Scripted()
    source = live(first, *[SourceError("not there")] * 1000, events=events)
    first.script.put(None)
    events.wait_for("camera-lost")
    begin_s = time.monotonic()
    source.close()
    assert time.monotonic() - begin_s < 5.0
    assert "camera-reopened" not in events.kinds


def test_a_defect_while_capturing_fails_the_reader_instead_of_keeping_it_waiting() -> None:
    connection = Scripted()
    source = live(connection)
    connection.script.put(ZeroDivisionError("by zero"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="by zero"):
            source.read()
    source.close()
    assert source.read() is None
