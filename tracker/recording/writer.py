"""Recording: frame results into a take, one at a time, so that nothing that was written is lost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tracker.errors import RecordingError
from tracker.face_model.model import FaceModel
from tracker.recording.columns import ColumnStore
from tracker.recording.csv_take import CsvSidecar
from tracker.recording.files import GrowingFile, replacing, why
from tracker.recording.finite import without_broken_faces
from tracker.recording.header import TakeHeader
from tracker.recording.journal import JournalWriter, read_journal
from tracker.recording.mcap_take import write_mcap_to
from tracker.recording.npz import write_npz
from tracker.recording.outputs import check_packages, check_suffix, sidecar_path
from tracker.recording.parquet_take import write_parquet_to
from tracker.recording.records import RecordEncoder
from tracker.recording.take import Take, read_take
from tracker.recording.text import CsvTable, frame_records, json_line
from tracker.types import FrameResult


class _Sink(Protocol):
    """One format. ``write`` appends to the ``.part`` file, ``finish`` turns that into the take; both may raise OSError."""

    def write(self, result: FrameResult) -> None: ...

    def finish(self, frames: int, complete: bool) -> None: ...


class _JournalSink:
    """Grows as a journal, which becomes a file of the format at the end."""

    def __init__(self, file: GrowingFile, header: TakeHeader, encoder: RecordEncoder) -> None:
        self._file = file
        self._encoder = encoder
        self._journal = JournalWriter(file, header.to_record())

    def write(self, result: FrameResult) -> None:
        self._journal.append(self._encoder.encode(result))

    def finish(self, frames: int, complete: bool) -> None:
        self._journal.append({"end": {"frames": frames, "complete": complete}})
        self._file.sync()
        finish_journal(self._file.part, self._file.path)
        self._file.discard()


class _JsonlSink:
    def __init__(self, file: GrowingFile, header: TakeHeader, encoder: RecordEncoder) -> None:
        self._file = file
        self._encoder = encoder
        file.append(json_line(header.to_record()))

    def write(self, result: FrameResult) -> None:
        self._file.append(json_line(self._encoder.encode(result)))

    def finish(self, frames: int, complete: bool) -> None:
        self._file.append(json_line({"end": {"frames": frames, "complete": complete}}))
        self._file.finish()


class _CsvSink:
    def __init__(self, file: GrowingFile, header: TakeHeader, encoder: RecordEncoder) -> None:
        self._file = file
        self._table = CsvTable(header.expression_names, header.regions)
        self._sidecar = CsvSidecar(header, self._table.columns)
        self._growing_sidecar = sidecar_path(file.part)
        self._save(self._growing_sidecar)
        file.append(self._table.header())

    def write(self, result: FrameResult) -> None:
        if self._sidecar.notice(result):
            self._save(self._growing_sidecar)
        self._file.append(self._table.lines(result))

    def finish(self, frames: int, complete: bool) -> None:
        self._sidecar.end(frames, complete)
        self._save(sidecar_path(self._file.path))
        self._file.finish()
        self._growing_sidecar.unlink(missing_ok=True)

    def _save(self, path: Path) -> None:
        with replacing(path) as file:
            file.write(self._sidecar.to_json())


_SINKS: dict[str, Callable[[GrowingFile, TakeHeader, RecordEncoder], _Sink]] = {
    ".npz": _JournalSink,
    ".parquet": _JournalSink,
    ".mcap": _JournalSink,
    ".jsonl": _JsonlSink,
    ".csv": _CsvSink,
}


class TakeWriter:
    """Writes one take. A context manager: it is finished on leaving, also by Ctrl-C or an error, with what it has.

    While it grows, the take lies in ``PATH.part``: every frame that ``write`` returned from is on disk, also after a
    ``kill -9``, and ``read_take`` reads that file.
    """

    def __init__(
        self,
        path: Path,
        file: GrowingFile,
        header: Callable[[FrameResult | None], TakeHeader],
        *,
        copy_of: Path | None = None,
    ) -> None:
        """Use ``open_writer``. ``header`` makes the header, given the first frame if there is one. With ``copy_of``, the name
        in messages, nothing of it stays when the disk fails: what it copies is still there.
        """
        self.path = path
        self.frame_count = 0
        """Frames written so far."""
        self._header = header
        self._file = file
        self._copy_of = copy_of
        self._sink: _Sink | None = None
        self._parts: dict[str, bool] = {}
        """Which optional parts of faces the take holds; known when it has been started."""
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def write(self, result: FrameResult) -> None:
        """Append one frame. A face that holds NaN or infinity is left out and logged.

        Raises:
            RecordingError: the disk is full or failed. Everything before stays readable in ``PATH.part``.
            ValueError: the take is closed, or the frame does not fit it (see ``RecordEncoder``).
        """
        if not self._open:
            raise ValueError(f"the take {self.path} is closed")
        try:
            if self._sink is None:
                self._sink = self._start(result)
            self._sink.write(without_broken_faces(result, **self._parts))
        except OSError as error:
            self._open = False
            if self._copy_of is None:
                self._file.close()
            else:
                self._discard()
            raise self._failure(error) from error
        self.frame_count += 1

    def close(self, *, complete: bool = True) -> None:
        """Finish the take. ``complete=False`` marks it as one that ended before its source did. Twice does nothing.

        Raises:
            RecordingError: there is no room to finish; the frames stay readable in ``PATH.part``.
        """
        if not self._open:
            return
        self._open = False
        try:
            if self._sink is None:
                self._sink = self._start(None)
            self._sink.finish(self.frame_count, complete)
        except OSError as error:
            if self._copy_of is not None:
                self._discard()
            raise self._failure(error) from error

    def abort(self) -> None:
        """Stop and remove what was written. The file that was there before stays as it is."""
        if self._open:
            self._open = False
            self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.discard()
        for left in (self._file.part, sidecar_path(self._file.part)):
            left.unlink(missing_ok=True)

    def _start(self, first: FrameResult | None) -> _Sink:
        header = self._header(first)
        self._parts = {
            "raw": bool(header.meta["with_raw"]),
            "landmarks": bool(header.meta["with_landmarks"]),
            "appearance": header.regions is not None,
        }
        encoder = RecordEncoder(
            expression_count=len(header.expression_names),
            identity_count=header.identity_count,
            **{f"with_{part}": there for part, there in self._parts.items()},
        )
        return _SINKS[self.path.suffix.lower()](self._file, header, encoder)

    def _failure(self, error: OSError) -> RecordingError:
        if self._copy_of is not None:
            return RecordingError(f"cannot write {self._copy_of}: {why(error)}; make room or choose another folder")
        return RecordingError(
            f"cannot write {self.path}: {why(error)}; the {self.frame_count} frames so far are kept in {self._file.part}, "
            "which `tracker replay` reads and `tracker convert` finishes; make room and record again"
        )


def open_writer(
    path: str | Path,
    *,
    model: FaceModel,
    meta: Mapping[str, Any] | None = None,
    raw: bool = True,
    landmarks: bool = False,
    appearance: bool = False,
    overwrite: bool = False,
    discard_unfinished: bool = False,
) -> TakeWriter:
    """Begin a take; its suffix says the format, one of ``SUFFIXES``.

    Args:
        path: the file; folders above it are made.
        model: the face model whose parameters are recorded.
        meta: JSON-able facts to keep with the take, such as ``{"source": source_signature(path)}``.
        raw: also keep the parameters before smoothing (not in ``.csv``).
        landmarks: also keep the image landmarks and their sigma (not in ``.csv``).
        appearance: also keep skin, light and occlusion where faces have them.
        overwrite: replace an existing take when this one is finished.
        discard_unfinished: drop the ``.part`` of a recording that was cut off instead of keeping it as ``.part-1``.

    Raises:
        RecordingError: unknown suffix, existing file, a folder that cannot be written, or one take recorded twice.
        ValueError: ``meta`` is not JSON-able.
    """
    path = Path(path)
    check_suffix(path)
    facts = json.loads(json.dumps(dict(meta or {}), allow_nan=False))

    def header(first: FrameResult | None) -> TakeHeader:
        return TakeHeader.create(
            model, facts, first, with_raw=raw, with_landmarks=landmarks, with_appearance=appearance
        )

    return TakeWriter(path, _grow(path, overwrite, discard_unfinished), header)


def open_copy(take: Take, path: str | Path, *, overwrite: bool = False, called: Path | None = None) -> TakeWriter:
    """Begin a take that says the same about itself as ``take``; write frames of it to it. A failure leaves nothing behind.

    Args:
        take: what to copy.
        path: where to; its suffix says the format.
        overwrite: replace an existing take when this one is finished.
        called: the name that messages call it by, where ``path`` is a temporary one.

    Raises:
        RecordingError: as ``open_writer``.
    """
    path = Path(path)
    check_suffix(path)
    return TakeWriter(path, _grow(path, overwrite, True), lambda first: take.header, copy_of=called or path)


def _grow(path: Path, overwrite: bool, discard_unfinished: bool) -> GrowingFile:
    check_packages(path)
    if path.is_dir():
        raise RecordingError(f"cannot record to {path}: it is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise RecordingError(f"{path} exists already; choose another name, or allow replacing it (--force)")
    return GrowingFile(path, discard_unfinished=discard_unfinished)


def finish_journal(part: Path, path: Path) -> int:
    """Turn the journal ``part`` into the finished take ``path``: ``.npz``, ``.parquet`` or ``.mcap``.

    Also for a journal that a crash left: the take then ends with its last complete record. ``part`` is left alone.

    Returns:
        The number of frames.

    Raises:
        RecordingError: ``part`` is no journal or does not hold together, or a package is missing.
        OSError: there is no room.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        take = read_take(part)
        with replacing(path) as file:
            write_parquet_to(file, take.arrays, take.meta)
        return len(take)
    maps = read_journal(part)
    try:
        header = TakeHeader.from_record(next(maps))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{part} is not an unfinished take: its header is unreadable ({error})") from error
    end: dict[str, Any] = {}
    records = frame_records(part, header, maps, end)
    if suffix == ".mcap":
        with replacing(path) as file:
            return write_mcap_to(file, header, records, end)
    with ColumnStore(header, path.parent) as columns:
        try:
            columns.add_all(records)
        except ValueError as error:
            raise RecordingError(f"{part} is damaged: {error}") from error
        write_npz(path, header, columns, complete=bool(end.get("complete", False)))
        return columns.frame_count
