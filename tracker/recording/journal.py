"""The journal of a recording: what is on disk while a take grows, readable up to the last complete record after a crash.

``FACETAKE`` + u8 version, then records of [u32 length][u32 CRC-32][msgpack map], little-endian. The first record is the
header; then one per frame; a finished journal ends with ``{"end": {"frames": N, "complete": bool}}``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgpack
import numpy as np

from tracker.errors import RecordingError
from tracker.recording.files import GrowingFile

MAGIC: Final = b"FACETAKE\x01"
_PREFIX: Final = struct.Struct("<II")
_LARGEST_RECORD: Final = 1 << 26


class JournalWriter:
    """Appends records to a ``GrowingFile``."""

    def __init__(self, file: GrowingFile, header: dict[str, Any]) -> None:
        self.file = file
        file.append(MAGIC + _frame(header))

    def append(self, record: dict[str, Any]) -> None:
        """Append one record; its numpy arrays become blobs of bytes or float32. Raises OSError when the disk does not take it."""
        self.file.append(_frame(record))


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, header first, up to the end or to where a crash cut it off.

    Raises:
        RecordingError: the file is no journal, or its header is damaged.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise RecordingError(f"{path} is not an unfinished take: it does not start with a journal's mark")
            count = 0
            while (record := _read_record(file)) is not None:
                count += 1
                yield record
            if count == 0:
                raise RecordingError(f"{path} is an unfinished take that was cut off before its first frame")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from error


def _read_record(file: BinaryIO) -> dict[str, Any] | None:
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    length, checksum = _PREFIX.unpack(prefix)
    if length > _LARGEST_RECORD:
        return None
    payload = file.read(length)
    if len(payload) < length or zlib.crc32(payload) != checksum:
        return None
    record = msgpack.unpackb(payload, raw=False)
    return record if isinstance(record, dict) else None


def _frame(record: dict[str, Any]) -> bytes:
    payload: bytes = msgpack.packb(record, default=_blob, use_bin_type=True)
    return _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def _blob(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8:
            return value.tobytes()
        return value.astype("<f4", copy=False).tobytes()
    raise TypeError(f"a {type(value).__name__} has no place in a take")
