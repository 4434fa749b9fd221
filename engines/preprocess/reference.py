"""What ``crops.cu`` computes, in numpy: for tests, and to check a GPU's results against."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.preprocess.regions import FORMATS

_STRIDE: Final = 4
_BRIGHT: Final = 128.0

# Limited-range Y'CbCr to R'G'B' (ITU-R BT.601-7 and BT.709-6): luma's factor, then what of Cb and Cr is in red, green, blue.
_LUMA: Final = 1.1643836
_FROM_CHROMA: Final = {
    FORMATS["nv12_bt601"]: ((0.0, -0.3917623, 2.0172321), (1.5960268, -0.8129676, 0.0)),
    FORMATS["nv12_bt709"]: ((0.0, -0.2132486, 2.1124018), (1.7927411, -0.5329093, 0.0)),
}


def crops(picture: NDArray[np.uint8], job: NDArray[Any], regions: NDArray[Any]) -> NDArray[np.floating]:
    """The batch that a network sees.

    Args:
        picture: the bytes from row ``job["first_row"]`` on: (H, W, 3), or (rows of luma and colour, W) for NV12.
        job: ``JOB``, shape (1,).
        regions: ``REGION``, shape (N,). Its ``gain`` is written, as the kernels do.

    Returns:
        (N, 3, S, S) or (N, S, S, 3), float32 or float16.
    """
    numbers = job[0]
    size = int(numbers["size"])
    levels = np.stack([_sampled(picture, numbers, region, size) for region in regions])
    for region, crop in zip(regions, levels, strict=True):
        region["gain"] = _gain(crop) if numbers["brighten"] else 1.0
    factor = (regions["gain"] / np.float32(255)).astype(np.float32)[:, None, None, None]
    values = np.minimum(levels * factor, np.float32(1)) * numbers["scale"] + numbers["shift"]
    if numbers["planar"]:
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values, dtype=np.float16 if numbers["half_float"] else np.float32)


def _gain(levels: NDArray[np.float32]) -> np.float32:
    sample = np.sort(levels[::_STRIDE, ::_STRIDE, 1].ravel())
    return np.float32(max(1.0, _BRIGHT / max(float(sample[len(sample) - 1 - len(sample) // 100]), 1.0)))


def _sampled(picture: NDArray[np.uint8], job: Any, region: Any, size: int) -> NDArray[np.float32]:
    """Levels (S, S, 3) in 0..255, whole numbers."""
    row, column = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2, indexing="ij")
    if region["mirrored"]:
        column = size - 1 - column
    (a, b, c), (d, e, f) = region["matrix"]
    x, y = a * column + b * row + c, d * column + e * row + f
    left, top = np.floor(x), np.floor(y)
    i, j = left.astype(np.int64), top.astype(np.int64)
    corners = [_reduced(picture, job, region, i + u, j + v) for v in (0, 1) for u in (0, 1)]
    return _mix(corners, x - left, y - top)


def _reduced(picture: NDArray[np.uint8], job: Any, region: Any, column: Any, row: Any) -> NDArray[np.float32]:
    column, row = np.clip(column, 0, region["columns"] - 1), np.clip(row, 0, region["rows"] - 1)
    if region["across"] == 1 and region["down"] == 1:
        return _fetch(picture, job, region, column, row)
    half = np.float32(0.5)
    x = np.clip((column.astype(np.float32) + half) * region["across"] - half, 0, region["width"] - 1)
    y = np.clip((row.astype(np.float32) + half) * region["down"] - half, 0, region["height"] - 1)
    i, j = x.astype(np.int64), y.astype(np.int64)
    corners = [_fetch(picture, job, region, i + u, j + v) for v in (0, 1) for u in (0, 1)]
    return _mix(corners, x - i.astype(np.float32), y - j.astype(np.float32))


def _fetch(picture: NDArray[np.uint8], job: Any, region: Any, column: Any, row: Any) -> NDArray[np.float32]:
    x = region["left"] + np.clip(column, 0, region["width"] - 1)
    y = region["top"] + np.clip(row, 0, region["height"] - 1) - job["first_row"]
    kind = int(job["format"])
    if kind in (FORMATS["rgb"], FORMATS["bgr"]):
        found = picture[y, x].astype(np.float32)
        rgb: NDArray[np.float32] = found if kind == FORMATS["rgb"] else found[..., ::-1]
        return rgb
    luma_rows = int(job["chroma"]) // int(job["pitch"])
    luma = np.float32(_LUMA) * (picture[y, x].astype(np.float32) - 16)
    first = x & ~1
    u, v = (picture[luma_rows + (y >> 1), first + offset].astype(np.float32) - 128 for offset in (0, 1))
    of_u, of_v = _FROM_CHROMA[kind]
    return _level(
        np.stack([luma + np.float32(p) * u + np.float32(q) * v for p, q in zip(of_u, of_v, strict=True)], axis=-1)
    )


def _mix(corners: list[NDArray[np.float32]], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    one = np.float32(1)
    weights = [(one - x) * (one - y), x * (one - y), (one - x) * y, x * y]
    return _level(sum(corner * weight[..., None] for corner, weight in zip(corners, weights, strict=True)))


def _level(values: Any) -> NDArray[np.float32]:
    rounded: NDArray[np.float32] = np.floor(np.clip(values, 0, 255) + np.float32(0.5)).astype(np.float32)
    return rounded
