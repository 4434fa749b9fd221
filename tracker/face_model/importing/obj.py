"""Wavefront OBJ, as far as face models need it: points, polygons, texture coordinates. A file at a time, from its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ObjMesh:
    """The polygons of a file, as fans of triangles."""

    faces: Int32
    """(F, 3) indices of points, from 0."""
    uv_faces: Int32 | None
    """(F, 3) indices of texture coordinates; None unless every corner has one."""
    uv: Float32 | None
    """(T, 2)."""


def obj_points(text: bytes) -> Float32:
    """The points of a file, (V, 3), in its own unit.

    Raises:
        ValueError: there are none, or they are not three numbers each.
    """
    points = _numbers(text, rb"v ")
    if points.size == 0 or points.size % 3:
        raise ValueError("has no vertices of three numbers")
    return points.reshape(-1, 3)


def obj_mesh(text: bytes, point_count: int) -> ObjMesh:
    """The polygons of a file with ``point_count`` points.

    Raises:
        ValueError: there are none, or one is no list of indices of points, counted from 1.
    """
    faces: list[tuple[int, int, int]] = []
    uv_faces: list[tuple[int, int, int]] = []
    try:
        for line in re.findall(rb"^f (.+)$", text, re.MULTILINE):
            corners = [corner.split(b"/") for corner in line.split()]
            points = [int(corner[0]) - 1 for corner in corners]
            fan = [(0, k, k + 1) for k in range(1, len(corners) - 1)]
            faces += [(points[a], points[b], points[c]) for a, b, c in fan]
            if all(len(corner) > 1 and corner[1] for corner in corners):
                at = [int(corner[1]) - 1 for corner in corners]
                uv_faces += [(at[a], at[b], at[c]) for a, b, c in fan]
    except ValueError as error:
        raise ValueError("has a face that is no list of indices") from error
    if not faces:
        raise ValueError("has no faces")
    uv = _texture_coordinates(text)
    triangles = _indices(faces, point_count)
    if len(uv_faces) != len(faces) or not len(uv):
        return ObjMesh(triangles, None, None)
    return ObjMesh(triangles, _indices(uv_faces, len(uv)), uv)


def _indices(corners: list[tuple[int, int, int]], count: int) -> Int32:
    # Through int64: a number with too many digits must be an error of the file and not of ours.
    try:
        found = np.array(corners, np.int64)
    except OverflowError as error:
        raise ValueError("has a face that is no list of indices") from error
    if found.min() < 0 or found.max() >= count:
        raise ValueError(f"has a face with a corner outside 1..{count}")
    return found.astype(np.int32)


def _texture_coordinates(text: bytes) -> Float32:
    uv = _numbers(text, rb"vt ")
    columns = 3 if uv.size % 3 == 0 and re.search(rb"^vt \S+ \S+ \S+", text, re.MULTILINE) else 2
    return uv.reshape(-1, columns)[:, :2].copy() if uv.size % columns == 0 else np.zeros((0, 2), np.float32)


def _numbers(text: bytes, key: bytes) -> Float32:
    """All numbers on lines that begin with ``key``, in one go."""
    lines = re.findall(rb"^" + key + rb"([^\n]*)$", text, re.MULTILINE)
    try:
        return np.array(b" ".join(lines).split(), dtype=np.bytes_).astype(np.float32)
    except ValueError:
        return np.zeros(0, np.float32)
