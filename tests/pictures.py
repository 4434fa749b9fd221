"""Pictures and frames for tests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.types import Frame

Image = NDArray[np.uint8]
FRAME_NS = 40_000_000


def picture(path: Path, frame: int = 0) -> Image:
    """A still, or one frame of a clip, RGB."""
    if path.suffix in (".jpg", ".png"):
        return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return next(image for index, image in enumerate(images(path)) if index == frame)


def images(path: Path) -> Iterator[Image]:
    """All pictures of a clip."""
    with av.open(str(path)) as container:
        for decoded in container.decode(video=0):
            yield decoded.to_ndarray(format="rgb24")


def frame(image: Image, index: int, t_ns: int | None = None) -> Frame:
    """A frame of a stream of 25 pictures a second."""
    return Frame(image, index, index * FRAME_NS if t_ns is None else t_ns, "media", 0)


def placed(
    image: Image, centre: tuple[float, float], scale: float, roll_deg: float, width: int = 1280, height: int = 720
) -> Image:
    """A picture of ``width`` x ``height`` with the point ``centre`` of ``image`` in its middle, scaled, turned clockwise."""
    reduced = 1.0
    if scale < 0.5:
        # Bilinear sampling would skip pixels.
        reduced = 2 * scale
        image = cv2.resize(image, None, fx=reduced, fy=reduced, interpolation=cv2.INTER_AREA)
    cos, sin = (function(math.radians(roll_deg)) * scale / reduced for function in (math.cos, math.sin))
    # In OpenCV's terms, where pixel centres are integers.
    x, y = (value * reduced - 0.5 for value in centre)
    matrix = np.array(
        [[cos, -sin, (width - 1) / 2 - cos * x + sin * y], [sin, cos, (height - 1) / 2 - sin * x - cos * y]]
    )
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
