"""Export files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tracker.errors import RecordingError
from tracker.recording.files import why


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside ``path``, with its suffix, to write to; what was written there becomes ``path`` when the block ends.

    Raises:
        RecordingError: the folder cannot be written or the disk is full. What was at ``path`` stays as it is then.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {why(error)}; make room or choose another folder") from error
    finally:
        with contextlib.suppress(OSError):
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)
