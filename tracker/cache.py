"""Where downloaded and imported things live on this machine: folders of the user, outside the installation."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.folders import FOLDER_NAME, platform_cache, program_cache
from tracker.errors import TrackerError


class CacheError(TrackerError):
    """The cache folder cannot be used."""


def cache_dir(*parts: str) -> Path:
    """The user's cache folder for this program, or a folder below it; nothing is created.

    Where it lies, ``engines.folders.program_cache`` says: engines are kept in it too.
    """
    return program_cache(*parts)


def data_dir(*parts: str) -> Path:
    """The user's folder for what cannot be fetched again, such as imported face models; nothing is created.

    ``TRACKER_DATA`` wins when it is set. Otherwise: ``$XDG_DATA_HOME`` (or ``~/.local/share``) on Linux,
    ``~/Library/Application Support`` on macOS, ``%LOCALAPPDATA%`` on Windows, plus ``facestream-tracker``.
    """
    override = os.environ.get("TRACKER_DATA")
    root = Path(override).expanduser().absolute() if override else _platform_data() / FOLDER_NAME
    return root.joinpath(*parts)


def _platform_data() -> Path:
    if sys.platform == "win32":
        # Beside the cache, but in a folder of its own: emptying the cache must not take models along.
        return platform_cache() / "Data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    xdg = os.environ.get("XDG_DATA_HOME", "")
    return Path(xdg) if os.path.isabs(xdg) else Path.home() / ".local" / "share"


def ensure_cache_dir(*parts: str) -> Path:
    """The same folder as ``cache_dir``, created if need be.

    Raises:
        CacheError: the folder cannot be created.
    """
    folder = cache_dir(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"cannot create the cache folder {folder} ({error.strerror or error}); "
            "set TRACKER_CACHE to a folder that can be written"
        ) from error
    return folder


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in lower-case hex. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_target(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that replaces it when the block ends well, and vanishes when it does not.

    Two processes that fetch the same file at the same time both succeed; a reader never sees half a file.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(target: Path) -> None:
    """Make sure, before long work, that a file can be written at ``target``; its folder is created. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target.parent):
        pass
