"""Reads tables of a FlatBuffer: as much of the format as .tflite files need.

A table starts with the signed distance back to its vtable; the vtable's 16-bit entries, from the third on, say where
each field lies in the table, 0 for one that is absent and has its default (https://flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class FlatBufferError(Exception):
    """An offset leads out of the file: it is damaged or no FlatBuffer."""


class Table:
    """One table: fields are asked for by their number in the schema, counted from 0.

    Raises:
        FlatBufferError: from any method, when an offset leads out of the data.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        vtable = position - self._unpack("<i", position)
        slots = max(self._unpack("<H", vtable) // 2 - 2, 0)
        self._slots = [self._unpack("<H", vtable + 4 + 2 * slot) for slot in range(slots)]

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table a file starts with."""
        if len(data) < 8:
            raise FlatBufferError(f"{len(data)} bytes are no FlatBuffer")
        return cls(data, struct.unpack_from("<I", data)[0])

    def scalar(self, field: int, code: str, default: float = 0) -> Any:
        """A number; ``code`` is its type as in ``struct`` ("i", "I", "b", "f", ...)."""
        position = self._at(field)
        return default if position is None else self._unpack(f"<{code}", position)

    def text(self, field: int) -> str:
        """A string, empty when absent."""
        return self.vector(field, np.uint8).tobytes().decode("utf-8", "replace")

    def vector(self, field: int, dtype: DTypeLike) -> NDArray[Any]:
        """Numbers (N,), a view of the file; none when absent."""
        start, count = self._vector(field)
        dtype = np.dtype(dtype)
        if start + count * dtype.itemsize > len(self._data):
            raise FlatBufferError(f"a list of {count} leads out of the file")
        return np.frombuffer(self._data, dtype, count, start)

    def table(self, field: int) -> Table | None:
        """A table or a union's value, None when absent."""
        position = self._at(field)
        return None if position is None else Table(self._data, position + self._unpack("<I", position))

    def tables(self, field: int) -> list[Table]:
        """A list of tables, empty when absent."""
        start, count = self._vector(field)
        if start + 4 * count > len(self._data):
            raise FlatBufferError(f"a list of {count} leads out of the file")
        return [Table(self._data, place + self._unpack("<I", place)) for place in range(start, start + 4 * count, 4)]

    def _at(self, field: int) -> int | None:
        slot = self._slots[field] if field < len(self._slots) else 0
        return self._position + slot if slot else None

    def _vector(self, field: int) -> tuple[int, int]:
        position = self._at(field)
        if position is None:
            return 0, 0
        start = position + self._unpack("<I", position)
        return start + 4, self._unpack("<I", start)

    def _unpack(self, code: str, position: int) -> Any:
        if position < 0:
            raise FlatBufferError("an offset leads out of the file")
        try:
            return struct.unpack_from(code, self._data, position)[0]
        except struct.error as error:
            raise FlatBufferError("an offset leads out of the file") from error
