"""Npz files whose large arrays are mapped into memory instead of read.

A fit touches a few thousand vertices of a basis, not all of it: mapped, a model of 300 MB costs the start a few milliseconds
and memory what is used. For that the arrays lie in the zip uncompressed, in float32 and aligned; ``numpy.load`` reads such a
file like any other.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT: Final = 64
_LEAST_MAPPED_BYTES: Final = 1 << 20
_LOCAL_HEADER_BYTES: Final = 30
_PADDING_TAG: Final = 0xFACE
"""Identifies the extra field that pads a member's header; readers skip fields they do not know."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays without pickles to ``path``. Raises OSError; half a file may be left then."""
    with path.open("wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            info = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            # Zip64 fields would move the data: they come first in the header, and no member is that large.
            start = stream.tell() + _LOCAL_HEADER_BYTES + len(info.filename.encode()) + 4
            info.extra = struct.pack("<HH", _PADDING_TAG, -start % _ALIGNMENT) + bytes(-start % _ALIGNMENT)
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(info, buffer.getbuffer())


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], frozenset[str]]:
    """The arrays of an npz, and the names of those that are mapped (read-only views of the file).

    Raises:
        ValueError, OSError, EOFError, zipfile.BadZipFile: the file is damaged, no npz, or holds pickles.
    """
    arrays: dict[str, NDArray[Any]] = {}
    mapped: set[str] = set()
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if info.compress_type == zipfile.ZIP_STORED and info.file_size >= _LEAST_MAPPED_BYTES:
                view = _map(path, stream, info)
                if view is not None:
                    arrays[key] = view
                    mapped.add(key)
                    continue
            with archive.open(info) as member:
                arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays, frozenset(mapped)


def _map(path: Path, stream: io.BufferedReader, info: zipfile.ZipInfo) -> NDArray[np.float32] | None:
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"the header of {info.filename} is damaged")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    begin = info.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length
    stream.seek(begin)
    if np.lib.format.read_magic(stream) != (1, 0):
        return None
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    offset = stream.tell()
    if dtype != np.float32 or is_fortran or offset % _ALIGNMENT:
        return None
    if offset + 4 * int(np.prod(shape, dtype=np.int64)) > begin + info.file_size:
        raise ValueError(f"{info.filename} is shorter than its shape {shape} asks for")
    return np.asarray(np.memmap(path, np.float32, "r", offset, shape))
