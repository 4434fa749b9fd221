"""MediaPipe's canonical 468-vertex face mesh, read from the geometry metadata inside ``face_landmarker.task``."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

METADATA = "geometry_pipeline_metadata_landmarks.binarypb"


def read_canonical_face(task: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (468, 3) in metres (x to the subject's left, y up, z out of the face) and triangles (898, 3)."""
    with zipfile.ZipFile(task) as archive:
        message = archive.read(METADATA)
    # GeometryPipelineMetadata.canonical_mesh = 1; Mesh3d.vertex_buffer = 3 (x y z u v), index_buffer = 4.
    mesh = next(value for number, value in _fields(message) if number == 1 and isinstance(value, bytes))
    floats: list[float] = []
    indices: list[int] = []
    for number, value in _fields(mesh):
        if number == 3:
            floats.extend(struct.unpack(f"<{len(value) // 4}f", value) if isinstance(value, bytes) else ())
        elif number == 4:
            indices.extend(_varints(value) if isinstance(value, bytes) else (value,))
    vertices = np.array(floats).reshape(-1, 5)[:, :3] * 0.01
    return vertices, np.array(indices).reshape(-1, 3)


def _varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protocol buffer message; 32-bit fields come as their four bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield number, value
        elif kind == 2:
            length, position = _varint(data, position)
            yield number, data[position : position + length]
            position += length
        elif kind == 5:
            yield number, data[position : position + 4]
            position += 4
        else:
            yield number, data[position : position + 8]
            position += 8
