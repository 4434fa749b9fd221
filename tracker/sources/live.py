"""The half that cameras and endless streams share: a capture thread, the newest frame, and reopening what was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from tracker.errors import SourceError
from tracker.sources.base import FrameSource, OnEvent, SourceState, ignore_event
from tracker.types import Frame, ImageRGB

# How often a waiting reader looks whether the source has stalled.
WATCH_S = 0.1


@dataclass(frozen=True, slots=True)
class Shot:
    """One captured picture, not yet converted: most of what a slow reader misses never needs to be."""

    t_capture_ns: int
    """On CLOCK_MONOTONIC."""
    to_rgb: Callable[[], ImageRGB]
    pts_s: Fraction | None = None


class Connection(Protocol):
    """An open camera or stream. Used by one thread."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, upright."""

    @property
    def rate(self) -> Fraction | None:
        """Nominal frame rate in 1/s."""

    def read(self) -> Shot | None:
        """Wait for the next picture; None or ``SourceError`` when the device or sender is gone."""

    def close(self) -> None:
        """Release it. May be called twice."""


Connect = Callable[[], Connection]
"""Opens the camera or stream, or raises ``SourceError`` with the reason."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a live source is called stalled and how long it waits between attempts to reopen it, in seconds."""

    stall_s: float = 2.0
    first_retry_s: float = 0.5
    longest_retry_s: float = 5.0


class LiveSource(FrameSource):
    """Newest-frame source over any ``Connection``. See ``FrameSource`` for the timing contract."""

    live = True

    def __init__(
        self,
        connect: Connect,
        *,
        kind: Literal["camera", "stream"],
        patience: Patience | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Open the connection and start capturing.

        Raises:
            SourceError: the first attempt to open it failed.
        """
        self._connect = connect
        self._kind = kind
        self._patience = patience or Patience()
        self._on_event = ignore_event if on_event is None else on_event
        self._changed = threading.Condition()
        self._shot: tuple[int, Shot] | None = None
        self._failure: Exception | None = None
        self._captured = 0
        self._last_arrival_s = time.monotonic()
        connection = connect()
        self._describe(connection)
        self._thread = threading.Thread(target=self._work, args=(connection,), name=f"capture {self.name}", daemon=True)
        self._thread.start()

    def read(self) -> Frame | None:
        taken = self._take()
        if taken is None:
            return None
        index, shot = taken
        age_ns = time.monotonic_ns() - shot.t_capture_ns
        return Frame(
            image=shot.to_rgb(),
            index=index,
            t_capture_ns=shot.t_capture_ns,
            clock="CLOCK_MONOTONIC",
            t_unix_ns=time.time_ns() - age_ns,
            pts_s=shot.pts_s,
            rate=self.rate,
        )

    def close(self) -> None:
        with self._changed:
            self.state = "closed"
            self._shot = None
            self._changed.notify_all()
        # A thread inside a driver call cannot be woken; it closes its connection itself as soon as the call returns.
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)

    def _take(self) -> tuple[int, Shot] | None:
        while True:
            with self._changed:
                if self.state == "closed":
                    return None
                if self._failure is not None:
                    raise self._failure
                if self._shot is not None:
                    taken, self._shot = self._shot, None
                    return taken
                self._changed.wait(WATCH_S)
                silent_s = time.monotonic() - self._last_arrival_s
                stalled = self.state == "running" and silent_s > self._patience.stall_s
                if stalled:
                    self.state = "stalled"
            if stalled:
                self._on_event("stalled", f"{self.name}: no frame for {silent_s:.1f} s; still waiting")

    def _work(self, connection: Connection) -> None:
        try:
            self._capture(connection)
        # No camera that is gone, which is reopened, but a defect: the reader must not wait for ever.
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _capture(self, connection: Connection) -> None:
        reopened = False
        while self._wanted():
            try:
                shot = connection.read()
                reason = "it stopped delivering frames"
            except SourceError as error:
                shot, reason = None, str(error)
            if shot is not None:
                self._store(shot, reopened)
                reopened = False
                continue
            connection.close()
            if not self._wanted():
                return
            self._enter("reopening")
            self._on_event(f"{self._kind}-lost", f"{self.name} was lost ({reason}); trying to reopen it")
            replacement = self._reopen()
            if replacement is None:
                return
            connection, reopened = replacement, True
        connection.close()

    def _reopen(self) -> Connection | None:
        retry_s = self._patience.first_retry_s
        while self._pause(retry_s):
            try:
                connection = self._connect()
            except SourceError:
                retry_s = min(2 * retry_s, self._patience.longest_retry_s)
                continue
            self._describe(connection)
            return connection
        return None

    def _store(self, shot: Shot, reopened: bool) -> None:
        with self._changed:
            if self.state == "closed":
                return
            resumed = self.state == "stalled"
            silent_s = time.monotonic() - self._last_arrival_s
            self._last_arrival_s = time.monotonic()
            self.state = "running"
            self.dropped += self._shot is not None
            self._shot = (self._captured, shot)
            self._captured += 1
            self._changed.notify_all()
        if reopened:
            self._on_event(f"{self._kind}-reopened", f"{self.name} is back after {silent_s:.1f} s")
        elif resumed:
            self._on_event("resumed", f"{self.name} delivers frames again after {silent_s:.1f} s")

    def _describe(self, connection: Connection) -> None:
        self.name = connection.name
        self.size = connection.size
        self.rate = connection.rate

    def _enter(self, state: SourceState) -> None:
        with self._changed:
            if self.state != "closed":
                self.state = state

    def _wanted(self) -> bool:
        return self.state != "closed"

    def _pause(self, duration_s: float) -> bool:
        """Wait unless closed meanwhile; whether to go on."""
        with self._changed:
            return not self._changed.wait_for(lambda: self.state == "closed", duration_s)
