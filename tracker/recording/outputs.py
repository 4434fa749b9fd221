"""Where takes go and whether they are already there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final, Literal

from tracker.errors import RecordingError
from tracker.recording import mcap_take, parquet_take
from tracker.recording.mcap_take import read_mcap_meta
from tracker.recording.npz import read_npz_meta
from tracker.recording.parquet_take import read_parquet_meta
from tracker.recording.text import last_line

SUFFIXES: Final = (".npz", ".jsonl", ".csv", ".parquet", ".mcap")
"""The formats that takes are written in."""

TakeState = Literal["missing", "complete", "partial", "other"]


def check_suffix(path: Path) -> None:
    """Raise RecordingError, listing what there is, when a file name's suffix is none of the formats."""
    if path.suffix.lower() in SUFFIXES:
        return
    if path.is_dir():
        raise RecordingError(f"cannot record to {path}: it is a folder; name a file in it, such as {path / 'take.npz'}")
    found = f"'{path.suffix}'" if path.suffix else "no suffix"
    raise RecordingError(f"cannot record to {path}: expected a name ending in {', '.join(SUFFIXES)}, got {found}")


def check_packages(path: Path) -> None:
    """Raise RecordingError when the format of a file name needs a package that is not installed."""
    check = {".parquet": parquet_take.check_package, ".mcap": mcap_take.check_package}.get(path.suffix.lower())
    if check is not None:
        check()


def sidecar_path(path: Path) -> Path:
    """Where a ``.csv`` take keeps what does not fit a table: ``take.csv`` -> ``take.csv.json``, also beside a ``.part``."""
    return path.with_name(path.name + ".json")


def take_paths(output: str | Path, sources: Sequence[str], suffix: str = ".npz") -> list[Path]:
    """Where the take of each source goes.

    One source may go to a file. Otherwise ``output`` is a folder (existing, or without a suffix) and every source gets
    ``NAME`` with ``suffix`` in it; names that two sources share get -2, -3 … in the order given.

    Raises:
        RecordingError: several sources for one file, or a suffix that is none of the formats.
    """
    output = Path(output)
    if not output.is_dir() and output.suffix:
        check_suffix(output)
        if len(sources) != 1:
            raise RecordingError(f"{len(sources)} inputs cannot go to one file {output}; name a folder instead")
        return [output]
    taken: set[str] = set()
    paths = []
    for source in sources:
        stem = PurePath(source.rstrip("/\\").replace(":", "_").replace("?", "_").replace("*", "_")).stem or "take"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        paths.append(output / f"{name}{suffix}")
    return paths


def source_signature(source: str | Path) -> dict[str, Any]:
    """What identifies a source in a take's meta: its name and, for a file, its size and time of change."""
    path = Path(source)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return {"name": str(source)}
    if not path.is_file():
        return {"name": str(source)}
    return {"name": path.name, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def take_state(path: str | Path, source: Mapping[str, Any] | None = None) -> TakeState:
    """What lies at ``path``: nothing, a whole take, one that ended early, or something else.

    With ``source`` (see ``source_signature``) a take of another source, or of another version of that file, is "other".
    """
    path = Path(path)
    if not path.exists():
        return "missing"
    try:
        meta = read_meta(path)
    except RecordingError:
        return "other"
    if not isinstance(meta.get("complete"), bool) or (source is not None and meta.get("source") != dict(source)):
        return "other"
    return "complete" if meta["complete"] else "partial"


def is_complete(path: str | Path, source: Mapping[str, Any] | None = None) -> bool:
    """Whether ``path`` is a finished take of the whole source."""
    return take_state(path, source) == "complete"


def read_meta(path: Path) -> dict[str, Any]:
    """What a take says about itself, without reading its frames. Raises RecordingError for what is no whole take."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz_meta(path)
    if suffix == ".parquet":
        return read_parquet_meta(path)
    if suffix == ".mcap":
        return read_mcap_meta(path)
    if suffix not in SUFFIXES:
        raise RecordingError(f"{path} is not a take")
    try:
        if suffix == ".csv":
            meta = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        else:
            with path.open("rb") as file:
                meta = json.loads(file.readline())
            meta |= json.loads(last_line(path))["end"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{path} is not a take ({error})") from error
    if not isinstance(meta, dict):
        raise RecordingError(f"{path} is not a take")
    return meta
