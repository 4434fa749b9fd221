"""Files that grow while a take is recorded and take their final name only when it is finished."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tracker.errors import RecordingError

PART = ".part"


def part_path(path: Path) -> Path:
    """The file that a take grows in until it is finished: ``take.npz`` -> ``take.npz.part``."""
    return path.with_name(path.name + PART)


class GrowingFile:
    """An append-only file ``PATH.part``. What ``append`` has returned from survives the death of the process.

    Appends go straight to the operating system: at some kilobytes a frame that costs microseconds, and nothing waits in
    a buffer of ours when the process is killed.
    """

    def __init__(self, path: Path, *, discard_unfinished: bool = False) -> None:
        """Create ``PATH.part``, and missing folders above it.

        A leftover of a recording that was cut off is renamed to ``PATH.part-1`` (2, 3 …) unless ``discard_unfinished``.

        Raises:
            RecordingError: the folder cannot be written, or another process is recording to the same path.
        """
        self.path = path
        self.part = part_path(path)
        self.size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise RecordingError(
                f"cannot record to {path}: {error.strerror or error}; choose a folder that can be written"
            ) from error
        self._lock()
        if os.fstat(self._fd).st_size > 0:
            self._clear_leftover(discard_unfinished)

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Not on Windows, where two recordings to one path are not told apart.
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise RecordingError(f"cannot record to {self.path}: {error.strerror or error}") from error
            raise RecordingError(
                f"cannot record to {self.path}: another process is recording to it; choose another name"
            ) from error

    def _clear_leftover(self, discard: bool) -> None:
        if discard:
            os.ftruncate(self._fd, 0)
            return
        number = 1
        while (kept := self.part.with_name(f"{self.part.name}-{number}")).exists():
            number += 1
        os.close(self._fd)
        self.part.rename(kept)
        beside = self.part.with_name(self.part.name + ".json")
        if beside.exists():
            beside.rename(kept.with_name(kept.name + ".json"))
        self._fd = os.open(self.part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        self._lock()

    def append(self, data: bytes) -> None:
        """Append the bytes, all or none.

        Raises:
            OSError: the file system has no room or fails; what was there before stays intact.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except BaseException:  # Ctrl-C too must not leave half a record in the middle.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
                os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file and leave ``PATH.part`` where it is."""
        os.close(self._fd)

    def finish(self) -> None:
        """Close the file and give it its final name, replacing what was there.

        Raises:
            OSError: it cannot be synced or renamed.
        """
        try:
            os.fsync(self._fd)
        finally:
            os.close(self._fd)
        os.replace(self.part, self.path)

    def discard(self) -> None:
        """Close the file and remove it."""
        os.close(self._fd)
        self.part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that becomes ``path`` in one step when the block ends, and vanishes when it fails. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def why(error: OSError) -> str:
    """What went wrong, in words that say what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if error.errno == errno.EFBIG:
        return "the file is larger than the file system or a limit (ulimit -f) allows"
    return error.strerror or str(error)
