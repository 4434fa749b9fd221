"""A line about every input of a batch, for programs: what became of it and how good its track is (docs/takes.md).

Newline-delimited JSON. Each line is on disk as soon as its clip is done, and there is one line a take.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import tracker
from tracker.batch.clip import Job, Outcome
from tracker.errors import RecordingError
from tracker.recording.files import replacing, why

NAME: Final = "manifest.ndjson"
"""Not ``.jsonl``, which would be taken for a take by patterns like ``takes/*.jsonl``."""


class Manifest:
    """The manifest of a batch, begun anew with the lines about other takes that are there already.

    Args:
        path: the file.
        made_again: takes that are about to be made: their lines go.
        settings: how takes are made (``tracker.batch.plan.fingerprint``).

    Raises:
        RecordingError: it cannot be written.
    """

    def __init__(self, path: Path, made_again: Iterable[Path], settings: str) -> None:
        self.path = path
        self._settings = settings
        again = {self._name(take) for take in made_again}
        self._kept = {line["take"]: line for line in read_manifest(path) if line["take"] not in again}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(b"".join(_line(line) for line in self._kept.values()))
        except OSError as error:
            raise self._failure(error) from error

    def knows(self, take: Path) -> bool:
        """Whether there is a line about a take."""
        return self._name(take) in self._kept

    def add(self, job: Job, outcome: Outcome, settings: str | None = None) -> None:
        """Add the line of a job; ``settings`` when it was not made by this batch.

        Raises:
            RecordingError: it cannot be written.
        """
        line = {
            "take": self._name(job.output),
            "source": job.source,
            "status": outcome.status,
            "error": outcome.error,
            "settings": self._settings if settings is None else settings,
            "tracker": tracker.__version__,
            "seconds": round(outcome.seconds, 3),
            **outcome.quality,
        }
        try:
            with self.path.open("ab") as file:
                file.write(_line(line))
        except OSError as error:
            raise self._failure(error) from error

    def _name(self, take: Path) -> str:
        """A take's name as seen from the manifest, so that the folder can be moved."""
        try:
            return take.resolve().relative_to(self.path.parent.resolve()).as_posix()
        except ValueError:
            return take.resolve().as_posix()

    def _failure(self, error: OSError) -> RecordingError:
        return RecordingError(f"cannot write {self.path}: {why(error)}; name another file with --manifest")


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The lines of a manifest; none when there is no file. A last line that was cut off is left out.

    Raises:
        RecordingError: it is no manifest.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(f"cannot read {path}: {reason}; name another file with --manifest") from error
    lines = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            value = json.loads(line)
            lines.append({**value, "take": str(value["take"])})
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(
                f"{path} line {number} is not a line of a manifest; remove the file, or name another with --manifest"
            ) from error
    return lines


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()
