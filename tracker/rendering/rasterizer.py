"""A z-buffer triangle rasteriser in numpy: which triangle a pixel sees, where on it, and how far away.

Triangles are cut into rows and rows into pixels by the exact scan-line rule (a pixel belongs to a triangle when its centre
lies in it; a centre on a shared edge belongs to one side only), so that neighbours neither overlap nor leave gaps. Depth is
resolved per pixel on 1/z, which is linear on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
_NEAR_M = 1e-3


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels of a ``width`` x ``height`` image see of a mesh; one entry per covered pixel."""

    width: int
    height: int
    faces: Int32
    """(F, 3) the mesh's triangles."""
    pixel: NDArray[np.intp]
    """(N,) covered pixels as ``row * width + column``, ascending."""
    face: Int32
    """(N,) index of the visible triangle."""
    inverse_depth: Float32
    """(H * W,) 1/z in 1/m, 0 where nothing is seen."""
    kept: NDArray[np.intp]
    """(T,) triangles that could be seen at all."""
    kept_index: NDArray[np.intp]
    """(N,) ``face`` as an index into ``kept``."""
    planes: NDArray[np.float64]
    """(T, 3, 3) per corner: its barycentric weight over z, linear in ``place``."""
    place: Float32
    """(N, 3) x and y of the pixel's centre relative to the triangle's first corner, and 1."""

    def interpolate(self, attributes: NDArray[np.floating]) -> Float32:
        """Vertex attributes (V, C) at the covered pixels, (N, C), perspective-correct."""
        return self.interpolate_corners(attributes[self.faces[self.kept]])

    def interpolate_corners(self, values: NDArray[np.floating]) -> Float32:
        """Attributes of the corners of the triangles in ``kept``, (T, 3, C), at the covered pixels, (N, C)."""
        channels = values.shape[2]
        # Attribute over z and 1/z are both linear on the screen: one product per pixel gives numerator and denominator.
        linear = np.empty((len(self.kept), 3, channels + 1), np.float32)
        linear[:, :, :channels] = np.einsum("tks,tkc->tsc", self.planes, values)
        linear[:, :, channels] = self.planes.sum(axis=1)
        rows = np.take(linear.reshape(len(linear), -1), self.kept_index, axis=0, mode="clip")
        pixel = np.einsum("ns,nsc->nc", self.place, rows.reshape(-1, 3, channels + 1))
        out: Float32 = pixel[:, :channels] / pixel[:, channels:]
        return out

    @property
    def barycentric(self) -> Float32:
        """(N, 3) perspective-correct weights of the corners of ``face``."""
        return self.interpolate_corners(np.broadcast_to(np.eye(3), (len(self.kept), 3, 3)))

    def image(self, values: NDArray[np.floating], background: float = 0.0) -> Float32:
        """Per-pixel values (N, C) as an image (H, W, C) over a constant background."""
        out = np.full((self.height * self.width, values.shape[1]), background, np.float32)
        out[self.pixel] = values
        return out.reshape(self.height, self.width, -1)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) True where the mesh is seen."""
        covered = np.zeros(self.height * self.width, np.bool_)
        covered[self.pixel] = True
        return covered.reshape(self.height, self.width)

    def depth_at(self, points: NDArray[np.floating]) -> Float32:
        """Depth in metres at the pixels that hold points (L, 2); infinity outside the mesh or the image."""
        column = np.floor(points[:, 0]).astype(np.intp)
        row = np.floor(points[:, 1]).astype(np.intp)
        inside = (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        seen = np.zeros(len(points), np.float32)
        seen[inside] = self.inverse_depth[row[inside] * self.width + column[inside]]
        with np.errstate(divide="ignore"):
            depth: Float32 = np.float32(1.0) / seen
        return depth


def rasterize(
    points_px: NDArray[np.floating],
    depth_m: NDArray[np.floating],
    faces: Int32,
    width: int,
    height: int,
    *,
    cull_back: bool = True,
) -> Raster:
    """Rasterise a projected triangle mesh.

    Args:
        points_px: (V, 2) vertices in continuous pixels: the centre of the top-left pixel is (0.5, 0.5).
        depth_m: (V,) distance along the optical axis. Triangles with a corner nearer than 1 mm are left out.
        faces: (F, 3) triangles, counter-clockwise seen from outside in OpenCV camera axes.
        width: image width in pixels.
        height: image height in pixels.
        cull_back: leave out triangles seen from behind.
    """
    fragments = _fragments(points_px, depth_m, faces, width, height, cull_back)
    wins = np.flatnonzero(fragments.inverse_z == fragments.nearest[fragments.pixel])
    winner = np.full(width * height, -1, np.int32)
    winner[fragments.pixel[wins]] = fragments.row_face[fragments.row[wins]]
    seen = np.flatnonzero(winner >= 0)
    local_face = winner[seen].astype(np.intp)
    start = np.take(fragments.corners[:, 0].astype(np.float32), local_face, axis=0, mode="clip")
    row = seen // width
    place = np.ones((len(seen), 3), np.float32)
    np.subtract((seen - row * width).astype(np.float32) + np.float32(0.5), start[:, 0], out=place[:, 0])
    np.subtract(row.astype(np.float32) + np.float32(0.5), start[:, 1], out=place[:, 1])
    face = fragments.kept[local_face].astype(np.int32)
    return Raster(
        width, height, faces, seen, face, fragments.nearest, fragments.kept, local_face, fragments.planes, place
    )


def inverse_depth(
    points_px: NDArray[np.floating], depth_m: NDArray[np.floating], faces: Int32, width: int, height: int
) -> Float32:
    """The depth buffer alone, as 1/z (height, width), 0 where nothing is seen; both sides of triangles count."""
    return _fragments(points_px, depth_m, faces, width, height, cull_back=False).nearest.reshape(height, width)


@dataclass(frozen=True, slots=True)
class _Fragments:
    """Triangles cut into pixels: one entry per triangle and pixel in ``row``, ``pixel``, ``inverse_z``."""

    kept: NDArray[np.intp]
    corners: NDArray[np.float64]
    planes: NDArray[np.float64]
    row_face: NDArray[np.intp]
    row: Int32
    pixel: Int32
    inverse_z: Float32
    nearest: Float32


def _fragments(
    points_px: NDArray[np.floating],
    depth_m: NDArray[np.floating],
    faces: Int32,
    width: int,
    height: int,
    cull_back: bool,
) -> _Fragments:
    points = np.asarray(points_px, np.float64)
    depth = np.asarray(depth_m, np.float64)
    kept, corners, area2 = _visible_candidates(points, depth, faces, width, height, cull_back)
    row_face, row, first, count = _rows(corners, width, height)
    planes, inverse_z_plane = _planes(corners, area2, 1.0 / depth[faces[kept]])

    origin = corners[row_face, 0]
    coefficients = inverse_z_plane[row_face]
    row_inverse_z = (
        coefficients[:, 2]
        + coefficients[:, 0] * (first + 0.5 - origin[:, 0])
        + coefficients[:, 1] * (row + 0.5 - origin[:, 1])
    )
    # From rows to fragments: everything below has one entry per triangle and pixel, so it is kept to a few passes.
    fragment_row = np.repeat(np.arange(len(row), dtype=np.int32), count)
    ends = np.cumsum(count)
    step = np.arange(len(fragment_row), dtype=np.int32) - (ends - count).astype(np.int32)[fragment_row]
    pixel = (row * width + first).astype(np.int32)[fragment_row] + step
    inverse_z = row_inverse_z.astype(np.float32)[fragment_row]
    inverse_z += coefficients[:, 0].astype(np.float32)[fragment_row] * step

    nearest = np.zeros(width * height, np.float32)
    np.maximum.at(nearest, pixel, inverse_z)
    return _Fragments(kept, corners, planes, row_face, fragment_row, pixel, inverse_z, nearest)


def _visible_candidates(
    points: NDArray[np.float64],
    depth: NDArray[np.float64],
    faces: Int32,
    width: int,
    height: int,
    cull_back: bool,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    corners = points[faces]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area2 = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    # Written out per corner: reductions over an axis of three are slow.
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    # y points down in the image, so a triangle that is counter-clockwise from outside has negative area when it faces us.
    keep = (area2 < 0.0) if cull_back else (area2 != 0.0)
    in_front = depth > _NEAR_M
    if not in_front.all():
        keep &= in_front[faces[:, 0]] & in_front[faces[:, 1]] & in_front[faces[:, 2]]
    keep &= (high[:, 0] > 0.0) & (low[:, 0] < width) & (high[:, 1] > 0.0) & (low[:, 1] < height)
    kept = np.flatnonzero(keep)
    return kept, corners[kept], area2[kept]


def _rows(
    corners: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut triangles (T, 3, 2) into rows: triangle, image row, first column and number of columns of each."""
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    by_y = np.take_along_axis(corners, order[:, :, None], axis=1)
    top = np.clip(np.ceil(by_y[:, 0, 1] - 0.5), 0, height).astype(np.int64)
    end = np.clip(np.ceil(by_y[:, 2, 1] - 0.5), 0, height).astype(np.int64)
    rows = end - top
    face = np.repeat(np.arange(len(corners)), rows)
    ends = np.cumsum(rows)
    row = np.arange(len(face)) - (ends - rows)[face] + top[face]
    centre = row + 0.5

    with np.errstate(divide="ignore", invalid="ignore"):
        # Each edge starts at its upper end, whichever triangle it belongs to: neighbours get the same column to the last bit.
        slope = [(by_y[:, j, 0] - by_y[:, i, 0]) / (by_y[:, j, 1] - by_y[:, i, 1]) for i, j in ((0, 2), (0, 1), (1, 2))]
    v0, v1 = by_y[face, 0], by_y[face, 1]
    long_x = v0[:, 0] + (centre - v0[:, 1]) * slope[0][face]
    upper = centre < v1[:, 1]
    start = np.where(upper[:, None], v0, v1)
    short_x = start[:, 0] + (centre - start[:, 1]) * np.where(upper, slope[1][face], slope[2][face])
    first = np.clip(np.ceil(np.minimum(long_x, short_x) - 0.5), 0, width).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(long_x, short_x) - 0.5), 0, width).astype(np.int64)
    count = last - first
    filled = count > 0
    return face[filled], row[filled], first[filled], count[filled]


def _planes(
    corners: NDArray[np.float64], area2: NDArray[np.float64], inverse_z: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Screen-space planes of barycentric weight over z, (T, 3, 3), and of 1/z, (T, 3), relative to the first corner."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    planes = np.empty((len(corners), 3, 3))
    planes[:, 1, 0], planes[:, 1, 1] = c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]
    planes[:, 2, 0], planes[:, 2, 1] = a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]
    planes[:, 1:, :2] /= area2[:, None, None]
    planes[:, 1:, 2] = 0.0
    planes[:, 0] = -planes[:, 1] - planes[:, 2]
    planes[:, 0, 2] = 1.0
    planes *= inverse_z[:, :, None]
    return planes, planes.sum(axis=1)
