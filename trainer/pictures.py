"""Crops with landmarks drawn: true ones green, predicted ones red."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.batch import Batch

Picture = NDArray[np.uint8]
"""(S, S, 3) RGB."""

_SIDE: Final = 256
_GAP: Final = 4
_MANY: Final = 100
_SHIFT: Final = 4  # cv2 takes points in sixteenths of a pixel
_TRUE: Final = (60, 220, 60)
_PREDICTED: Final = (255, 60, 60)


def draw_points(batch: Batch, predicted: Tensor, count: int) -> list[Picture]:
    """Pictures of a batch's first crops.

    Args:
        batch: on the CPU.
        predicted: (B, N, 2 or more) fractions of the crop's side, on the CPU.
        count: how many at most.
    """
    pictures: list[Picture] = []
    for index in range(min(count, len(batch))):
        crop = (batch.image[index].permute(1, 2, 0).clamp(0.0, 1.0) * 255.0).round().byte().numpy()
        picture: Any = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(picture)
        _dots(picture, batch.points[index, :, :2], _TRUE)
        _dots(picture, predicted[index, :, :2], _PREDICTED)
        pictures.append(picture)
    return pictures


def sheet(pictures: list[Picture], columns: int = 4) -> Picture:
    """Pictures of one size side by side, (H, W, 3)."""
    side = pictures[0].shape[0]
    rows = -(-len(pictures) // columns)
    page = np.full((rows * (side + _GAP), min(columns, len(pictures)) * (side + _GAP), 3), 128, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = row * (side + _GAP), column * (side + _GAP)
        page[top : top + side, left : left + side] = picture
    return page


def write_png(picture: Picture, path: str) -> None:
    """Write RGB as PNG. Raises ``OSError``."""
    _, data = cv2.imencode(".png", picture[:, :, ::-1])
    with open(path, "wb") as file:
        file.write(data.tobytes())


def _dots(picture: Picture, points: Tensor, colour: tuple[int, int, int]) -> None:
    radius = 1 if len(points) > _MANY else 3
    for x, y in points.tolist():
        if np.isfinite(x) and np.isfinite(y) and max(abs(x), abs(y)) < 100.0:
            # A pixel's centre is at +0.5 here and at 0 in cv2.
            centre = [round((value * _SIDE - 0.5) * (1 << _SHIFT)) for value in (x, y)]
            cv2.circle(picture, centre, radius << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
