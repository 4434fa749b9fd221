"""Where engines are kept: a folder of the user's cache, one ``.engine`` file each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from engines.artifact import SUFFIX, ArtifactHeader, read_header
from engines.errors import EngineError
from engines.folders import program_cache


def cache_dir(*parts: str) -> Path:
    """The folder engines are kept in, or one below it; nothing is created.

    It is ``engines`` in the folder that ``tracker`` uses too (``engines.folders``).
    """
    return program_cache("engines", *parts)


def scratch_dir() -> Path:
    """A folder below the cache for what backends keep between builds, created.

    Raises:
        EngineError: it cannot be created.
    """
    folder = cache_dir("scratch")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"cannot use {folder} ({error.strerror}); set TRACKER_CACHE to a folder you can write"
        ) from error
    return folder


def sha256_of(path: Path, what: str = "network file") -> str:
    """Hex digest of a file; ``what`` it is to be called in messages. Raises EngineError when it cannot be read."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        raise EngineError(f"{what} {path} does not exist") from None
    except OSError as error:
        raise EngineError(f"{what} {path} cannot be read ({error.strerror})") from error


def artifact_path(name: str, backend: str, precision: str, key: str) -> Path:
    """Where the artifact of that key is kept."""
    return cache_dir(f"{_plain(name)}-{backend}-{precision}-{key}{SUFFIX}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name)[:60] or "network"


def artifacts() -> Iterator[tuple[Path, ArtifactHeader | EngineError]]:
    """Every engine of the cache with its header, or with why that cannot be read; by name."""
    for path in sorted(cache_dir().glob(f"*{SUFFIX}")):
        try:
            yield path, read_header(path)
        except EngineError as error:
            yield path, error


def leftovers() -> list[Path]:
    """Files that interrupted builds left behind."""
    return sorted(cache_dir().glob(f".*{SUFFIX}.*.part"))
