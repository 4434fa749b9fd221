"""Files at the speed they were filmed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from tracker.sources.base import FrameSource
from tracker.types import Frame


class PacedSource(FrameSource):
    """Hands out the frames of a file when they are due, none earlier, none dropped; times stay media times."""

    paced = True

    def __init__(self, source: FrameSource, speed: float = 1.0) -> None:
        """``speed`` > 0: 2 plays twice as fast."""
        self._source = source
        self._speed = speed
        self._closed = threading.Event()
        self._start_s: float | None = None
        self._first_ns = 0
        self.name, self.size, self.rate = source.name, source.size, source.rate
        self.frame_count, self.frame_count_exact = source.frame_count, source.frame_count_exact

    def read(self) -> Frame | None:
        """Wait until the next frame is due and return it; its Unix time is that moment's. None at the end or once closed."""
        frame = self._source.read()
        if frame is None or self._closed.is_set():
            return None
        if self._start_s is None:
            self._start_s, self._first_ns = time.monotonic(), frame.t_capture_ns
        due_s = self._start_s + (frame.t_capture_ns - self._first_ns) * 1e-9 / self._speed
        if self._closed.wait(max(0.0, due_s - time.monotonic())):
            return None
        return replace(frame, t_unix_ns=time.time_ns())

    def close(self) -> None:
        """End a wait and close the file."""
        self._closed.set()
        self._source.close()
        super().close()
