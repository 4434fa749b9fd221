"""What every frame source promises, whatever it reads from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Literal

from tracker.types import Frame

SourceState = Literal["running", "stalled", "reopening", "ended", "closed"]

OnEvent = Callable[[str, str], None]
"""``on_event(kind, text)``: something a person should know. ``kind`` is a short stable name, ``text`` one line."""


def ignore_event(kind: str, text: str) -> None:
    """The default ``on_event``: say nothing."""


class FrameSource(ABC):
    """Upright RGB frames in the order they were captured, one ``read`` after the other.

    Timing contract, by kind of source:

    - Files, finite URLs and images (``live`` is False): ``read`` blocks for as long as decoding takes and returns
      every frame exactly once, so results do not depend on how fast the reader is. Times are media times.
    - Cameras and endless streams (``live`` is True): capture goes on in a thread of its own, whether anybody reads or
      not. ``read`` returns the newest frame that was not returned before and waits when there is none; older ones are
      dropped, counted in ``dropped`` and leave a gap in ``Frame.index``. A camera that disappears or a stream that
      breaks is reopened behind ``read``, which keeps waiting meanwhile; ``state`` and ``on_event`` say so.

    ``read`` returns None at the end and after ``close``. One thread reads; ``close`` may come from any thread and ends
    a waiting ``read``. ``on_event`` may be called from the capture thread.

    Event kinds: ``damaged`` (part of the input could not be decoded), ``timing`` (time stamps were missing or ran
    backwards and were rebuilt), ``size-changed``, ``skipped`` (an unreadable image), ``settings`` (a setting was not
    taken as asked), ``stalled`` and ``resumed`` (no frames for a while), ``camera-lost``, ``camera-reopened``,
    ``stream-lost``, ``stream-reopened``.
    """

    live: bool = False
    """Whether frames come at their own pace and are dropped when nobody takes them."""
    paced: bool = False
    """Whether ``read`` waits for a frame to be due, so that its duration says nothing about decoding."""
    name: str = ""
    """What is being read, for people: a path, a URL, a camera's name."""
    size: tuple[int, int] | None = None
    """Width and height in pixels of the upright frames, as announced; a frame's own size is what counts."""
    rate: Fraction | None = None
    """Nominal frame rate in 1/s."""
    frame_count: int | None = None
    """How many frames there will be; None when unknown or endless."""
    frame_count_exact: bool = False
    """Whether ``frame_count`` is stated by the source rather than estimated from duration and rate."""
    state: SourceState = "running"
    dropped: int = 0
    """Frames captured and never returned by ``read`` (live sources)."""

    @abstractmethod
    def read(self) -> Frame | None:
        """Return the next frame (see the timing contract), or None at the end.

        Raises:
            SourceError: the source turned out to hold nothing that can be decoded.
        """

    def close(self) -> None:
        """Let go of file, device or connection. May be called twice."""
        self.state = "closed"

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
