"""Spirals around the vertices of a mesh: the fixed order of neighbours that SpiralNet++ convolves over (Gong 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.intp]


def spirals(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], length: int, dilation: int = 1
) -> NDArray[np.int64]:
    """Spirals of one length around every vertex: itself, its ring counter-clockwise from outside, the ring around that.

    Each begins at the neighbour that lies highest (+y), so that spirals of neighbours point the same way: the paper begins
    at random. Where the mesh ends before the spiral does, the nearest vertices that are not in it yet go on.

    Args:
        vertices: (V, 3).
        faces: (F, 3) counter-clockwise from outside.
        length: entries of a spiral, its centre included.
        dilation: take every such entry of a spiral that is this many times longer.

    Returns:
        (V, length).

    Raises:
        ValueError: the length or the dilation is below 1, or the mesh has too few vertices.
    """
    reach = (length - 1) * dilation + 1
    if length < 1 or dilation < 1 or reach > len(vertices):
        raise ValueError(
            f"expected spirals of at least one vertex that fit into {len(vertices)}, got length {length}, "
            f"dilation {dilation}"
        )
    points = np.asarray(vertices, np.float64)
    rings = _rings(points, np.asarray(faces, np.intp))
    return np.array([_spiral(points, rings, centre, reach)[::dilation] for centre in range(len(points))], np.int64)


def _spiral(points: NDArray[np.float64], rings: list[list[int]], centre: int, reach: int) -> list[int]:
    walk = [centre, *rings[centre]]
    seen = set(walk)
    at = 1
    while len(walk) < reach and at < len(walk):
        # Outward from each vertex of the ring in turn, beginning beside the one walked before it.
        around, before = rings[walk[at]], walk[at - 1]
        start = around.index(before) + 1 if before in around else 0
        for vertex in (*around[start:], *around[:start]):
            if vertex not in seen:
                seen.add(vertex)
                walk.append(vertex)
        at += 1
    if len(walk) < reach:
        order = np.argsort(((points - points[centre]) ** 2).sum(axis=1), kind="stable")
        walk += [int(vertex) for vertex in order if int(vertex) not in seen]
    return walk[:reach]


def _rings(points: NDArray[np.float64], faces: Int) -> list[list[int]]:
    """Neighbours of each vertex, counter-clockwise, the highest first; at a border from its one end to the other."""
    following: list[dict[int, int]] = [{} for _ in range(len(points))]
    for a, b, c in faces.tolist():
        following[a][b] = c
        following[b][c] = a
        following[c][a] = b
    return [_ring(points, after) for after in following]


def _ring(points: NDArray[np.float64], after: dict[int, int]) -> list[int]:
    ring: list[int] = []
    left = dict(after)
    while left:
        # A fan of triangles that is open begins at the neighbour that follows none.
        opens = sorted(set(left) - set(left.values()))
        vertex = opens[0] if opens else min(left, key=lambda i: (-points[i, 1], i))
        if vertex not in ring:
            ring.append(vertex)
        while vertex in left:
            vertex = left.pop(vertex)
            if vertex not in ring:
                ring.append(vertex)
    return ring
