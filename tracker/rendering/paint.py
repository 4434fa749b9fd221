"""Small drawing tools over OpenCV in continuous pixel coordinates (the centre of the top-left pixel is at (0.5, 0.5))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

_SHIFT = 4
_FONT = cv2.FONT_HERSHEY_DUPLEX
_FONT_HEIGHT_PX = 22.0
"""Height of a capital letter at scale 1."""


def to_fixed(points_px: NDArray[np.floating]) -> NDArray[np.int32]:
    """Continuous pixels (N, 2) as OpenCV's fixed point coordinates, whose pixel centres are integers."""
    limited = np.clip(points_px, -1e4, 3e4)
    fixed: NDArray[np.int32] = np.rint((limited - 0.5) * (1 << _SHIFT)).astype(np.int32)
    return fixed


def polyline(
    image: Image, points_px: NDArray[np.floating], colour: Colour, width_px: int = 1, closed: bool = False
) -> None:
    """Draw an anti-aliased line through points (N, 2)."""
    if len(points_px) > 1:
        cv2.polylines(image, [to_fixed(points_px)[:, None]], closed, colour, width_px, cv2.LINE_AA, _SHIFT)


def disc(image: Image, centre_px: NDArray[np.floating], radius_px: float, colour: Colour) -> None:
    """Fill an anti-aliased disc."""
    discs(image, np.asarray(centre_px)[None], [radius_px], colour)


def discs(image: Image, centres_px: NDArray[np.floating], radii_px: Iterable[float], colour: Colour) -> None:
    """Fill anti-aliased discs around centres (N, 2)."""
    for (x, y), radius in zip(to_fixed(centres_px).tolist(), radii_px, strict=True):
        cv2.circle(image, (x, y), max(1, round(radius * (1 << _SHIFT))), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def rings(image: Image, centres_px: NDArray[np.floating], radius_px: float, colour: Colour) -> None:
    """Draw anti-aliased circles, a pixel wide, around centres (N, 2)."""
    for x, y in to_fixed(centres_px).tolist():
        cv2.circle(image, (x, y), max(1, round(radius_px * (1 << _SHIFT))), colour, 1, cv2.LINE_AA, _SHIFT)


@contextmanager
def translucent(image: Image, opacity: float, box: Sequence[float] | None = None) -> Iterator[Image]:
    """Draw on the yielded copy; what was drawn is blended onto ``image`` with ``opacity`` in 0..1.

    ``box`` (x, y, width, height in pixels) limits the work to a part; the copy yielded is always of the whole image.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = 0, 0, width, height
    if box is not None:
        x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
        x1, y1 = min(width, int(np.ceil(box[0] + box[2]))), min(height, int(np.ceil(box[1] + box[3])))
    layer = image.copy()
    yield layer
    if x1 > x0 and y1 > y0:
        part = image[y0:y1, x0:x1]
        cv2.addWeighted(layer[y0:y1, x0:x1], opacity, part, 1.0 - opacity, 0.0, dst=part)


def text_size(text: str, height_px: float) -> tuple[float, float]:
    """Width and capital height in pixels of a line of text."""
    (width, _), _ = cv2.getTextSize(text, _FONT, height_px / _FONT_HEIGHT_PX, 1)
    return float(width), height_px


def text(image: Image, line: str, x: float, baseline_y: float, height_px: float, colour: Colour) -> None:
    """Write ASCII text with capitals of ``height_px``."""
    origin = (round(x), round(baseline_y))
    cv2.putText(image, line, origin, _FONT, height_px / _FONT_HEIGHT_PX, colour, 1, cv2.LINE_AA)


def rounded_box(image: Image, x: float, y: float, width: float, height: float, radius: float, colour: Colour) -> None:
    """Fill a box with round corners."""
    if width <= 0 or height <= 0:
        return
    radius = min(radius, width / 2, height / 2)
    quarter = np.linspace(0.0, np.pi / 2, 6)
    corners = ((x + width - radius, y + height - radius, 0.0), (x + radius, y + height - radius, np.pi / 2),
               (x + radius, y + radius, np.pi), (x + width - radius, y + radius, 1.5 * np.pi))  # fmt: skip
    outline = [(cx + radius * np.cos(a0 + q), cy + radius * np.sin(a0 + q)) for cx, cy, a0 in corners for q in quarter]
    cv2.fillPoly(image, [to_fixed(np.array(outline))[:, None]], colour, cv2.LINE_AA, _SHIFT)


def pill(image: Image, line: str, x: float, y: float, height_px: float, colour: Colour, ground: Colour) -> float:
    """Write text on a dark rounded ground whose top-left corner is (x, y). Returns the ground's width in pixels."""
    width, capital = text_size(line, height_px)
    pad = 0.75 * capital
    box = (x, y, width + 2 * pad, capital + 2 * pad)
    with translucent(image, 0.62, box) as layer:
        rounded_box(layer, *box, radius=pad, colour=ground)
    text(image, line, x + pad, y + pad + capital, height_px, colour)
    return box[2]
