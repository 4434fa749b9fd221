"""Where the crops of a picture lie: the numbers that ``crops.cu`` and its reference read.

The layout of ``JOB`` and ``REGION`` is that of the structures in ``crops.cu``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

JOB: Final = np.dtype([
    ("pitch", "<i4"), ("first_row", "<i4"), ("format", "<i4"), ("chroma", "<i4"),
    ("size", "<i4"), ("planar", "<i4"), ("half_float", "<i4"), ("brighten", "<i4"),
    ("scale", "<f4", 3), ("shift", "<f4", 3), ("unused", "<i4", 2),
])  # fmt: skip
REGION: Final = np.dtype([
    ("matrix", "<f4", (2, 3)), ("across", "<f4"), ("down", "<f4"),
    ("left", "<i4"), ("top", "<i4"), ("width", "<i4"), ("height", "<i4"),
    ("columns", "<i4"), ("rows", "<i4"), ("mirrored", "<i4"), ("gain", "<f4"),
])  # fmt: skip

FORMATS: Final = {"rgb": 0, "bgr": 1, "nv12_bt601": 2, "nv12_bt709": 3}
"""How pictures lie in memory -> number in ``JOB``. NV12 is limited range: a plane of luma, then one of colour pairs."""

_ALIASING_SCALE: Final = 3.0
"""Beyond so many picture pixels per crop pixel the crop is sampled from a reduced picture, as the CPU does it."""


class Square(Protocol):
    """A square in a picture, in its continuous pixels, with its x axis turned by ``rotation`` radians (x towards y)."""

    @property
    def cx(self) -> float: ...
    @property
    def cy(self) -> float: ...
    @property
    def size(self) -> float: ...
    @property
    def rotation(self) -> float: ...


class CropFormat(NamedTuple):
    """What the network wants of a crop: a value is ``(rgb / 255 - mean) / std`` per channel."""

    size: int
    """Side in pixels."""
    planar: bool = False
    """Channels first."""
    half_float: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    brighten: bool = True
    """Raise dark crops, as the tracker's encoders want them."""


def job(crop: CropFormat, pitch: int, first_row: int = 0, picture: str = "rgb", chroma: int = 0) -> NDArray[Any]:
    """The numbers common to all crops of a picture: ``JOB``, shape (1,).

    Args:
        crop: what the network wants.
        pitch: bytes per row of the picture.
        first_row: row of the picture that lies at its address.
        picture: one of ``FORMATS``.
        chroma: for NV12: bytes from the picture's address to the colour plane.
    """
    if picture not in FORMATS:
        raise EngineError(f"pictures must be {', '.join(FORMATS)}, got {picture!r}")
    numbers = np.zeros(1, JOB)
    numbers["pitch"], numbers["first_row"], numbers["format"], numbers["chroma"] = (
        pitch,
        first_row,
        FORMATS[picture],
        chroma,
    )
    numbers["size"], numbers["planar"], numbers["half_float"] = crop.size, crop.planar, crop.half_float
    numbers["brighten"] = crop.brighten
    std = np.asarray(crop.std, np.float32)
    numbers["scale"], numbers["shift"] = 1 / std, -np.asarray(crop.mean, np.float32) / std
    return numbers


def regions(
    squares: Sequence[Square], crop_size: int, width: int, height: int, mirrored: Sequence[bool] | None = None
) -> NDArray[Any]:
    """The numbers of each crop: ``REGION``, shape (N,).

    Args:
        squares: where the crops lie, in pixels of a picture of ``width`` x ``height`` pixels.
        crop_size: side of the crops in pixels.
        width: of the picture.
        height: of the picture.
        mirrored: whether each crop's left and right are exchanged; None: no crop's.
    """
    numbers = np.zeros(len(squares), REGION)
    for index, square in enumerate(squares):
        _fill(numbers[index], square, crop_size, width, height)
    if mirrored is not None:
        numbers["mirrored"] = mirrored
    return numbers


def rows_needed(numbers: NDArray[Any]) -> tuple[int, int]:
    """First row of the picture that any of these ``REGION`` looks at and the one after the last."""
    return int(numbers["top"].min()), int((numbers["top"] + numbers["height"]).max())


def _fill(numbers: Any, square: Square, crop_size: int, width: int, height: int) -> None:
    per_pixel = square.size / crop_size
    factor = per_pixel / 2 if per_pixel > _ALIASING_SCALE else 1.0
    left, top, right, bottom = _covered(square, width, height, margin=2 * factor)
    columns, rows = right - left, bottom - top
    if factor > 1.0:
        reduced = round(columns / factor), round(rows / factor)
        if min(reduced) >= 1:
            columns, rows = reduced
    across, down = (right - left) / columns, (bottom - top) / rows
    # A square of the picture stays one in the reduced part, as wide as its width is reduced.
    scale = per_pixel / across
    cos, sin = math.cos(square.rotation) * scale, math.sin(square.rotation) * scale
    # From the centre of crop pixel (0, 0), at (0.5, 0.5), to the index of the pixel it samples.
    start = 0.5 - crop_size / 2
    numbers["matrix"] = (
        (cos, -sin, (square.cx - left) / across + start * (cos - sin) - 0.5),
        (sin, cos, (square.cy - top) / down + start * (sin + cos) - 0.5),
    )
    numbers["across"], numbers["down"] = across, down
    numbers["left"], numbers["top"], numbers["width"], numbers["height"] = left, top, right - left, bottom - top
    numbers["columns"], numbers["rows"], numbers["gain"] = columns, rows, 1.0


def _covered(square: Square, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the picture's part under ``square`` and ``margin`` pixels around it; at least a pixel."""
    reach = square.size * (abs(math.cos(square.rotation)) + abs(math.sin(square.rotation))) / 2 + margin
    left, top = (min(max(int(c - reach), 0), side - 1) for c, side in ((square.cx, width), (square.cy, height)))
    right, bottom = (min(max(int(c + reach) + 1, 1), side) for c, side in ((square.cx, width), (square.cy, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)
