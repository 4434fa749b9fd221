"""A take that can be begun and ended while frames go by."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tracker.errors import ConfigError, RecordingError, TrackerError
from tracker.recording.writer import TakeWriter
from tracker.types import FrameResult

OpenWriter = Callable[[Path, bool], TakeWriter]
"""Begins a take at a path; True replaces an existing one. Raises ``TrackerError``."""


class TakeSwitch:
    """Writes frames to the take that is on, if one is. A context manager that ends it on leaving.

    ``start`` and ``stop`` may come from any thread. Ending a long take takes seconds and happens beside the frames. A take that
    cannot be written any more is given up: what it has stays in its ``.part``, and the frames go by as if none were on.

    Args:
        open_writer: begins a take.
        writer: one that is on from the beginning.
        on_end: called with what became of a take that was stopped: its path, and the error that kept it from being finished.
        on_give_up: called with the error of a take that was given up, by whoever writes frames.
    """

    def __init__(
        self,
        open_writer: OpenWriter,
        writer: TakeWriter | None = None,
        on_end: Callable[[Path, TrackerError | None], None] = lambda path, error: None,
        on_give_up: Callable[[RecordingError], None] = lambda error: None,
    ) -> None:
        self._open_writer = open_writer
        self._writer = writer
        self._on_end = on_end
        self._on_give_up = on_give_up
        self.failed = False
        """Whether a take could not be written to its end."""
        self._lock = threading.Lock()
        self._ending: list[threading.Thread] = []

    def __enter__(self) -> TakeSwitch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer = self._take_off()
        for thread in self._ending:
            thread.join()
        if writer is not None:
            writer.close(complete=kind is None)

    @property
    def path(self) -> Path | None:
        """Where the present take goes; None while none is on."""
        with self._lock:
            return self._writer.path if self._writer is not None else None

    @property
    def frame_count(self) -> int:
        """Frames in the present take."""
        with self._lock:
            return self._writer.frame_count if self._writer is not None else 0

    def write(self, result: FrameResult) -> None:
        """Append a frame to the present take, if one is on.

        Raises:
            ValueError: the frame does not fit the take (see ``RecordEncoder``).
        """
        with self._lock:
            if self._writer is None:
                return
            try:
                self._writer.write(result)
                return
            except RecordingError as error:
                failure = error
                self._writer = None
                self.failed = True
        self._on_give_up(failure)

    def start(self, path: Path, *, overwrite: bool = False) -> None:
        """Begin a take with the next frame.

        Raises:
            ConfigError: one is on.
            RecordingError: the take cannot be written there.
        """
        with self._lock:
            if self._writer is not None:
                raise ConfigError(f"already recording to {self._writer.path}; stop that take first")
            self._writer = self._open_writer(path, overwrite)

    def stop(self) -> tuple[Path, int]:
        """End the present take; its path and number of frames. It is finished soon, at the latest when this object is left.

        Raises:
            ConfigError: none is on.
        """
        writer = self._take_off()
        if writer is None:
            raise ConfigError("nothing is being recorded")
        thread = threading.Thread(target=self._finish, args=(writer,), name="finish take")
        self._ending = [*(ending for ending in self._ending if ending.is_alive()), thread]
        thread.start()
        return writer.path, writer.frame_count

    def _take_off(self) -> TakeWriter | None:
        with self._lock:
            writer, self._writer = self._writer, None
        return writer

    def _finish(self, writer: TakeWriter) -> None:
        try:
            writer.close()
        except TrackerError as error:
            self.failed = True
            self._on_end(writer.path, error)
        else:
            self._on_end(writer.path, None)
