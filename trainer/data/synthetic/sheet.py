"""Contact sheets: what a stream shows, and where it says points are."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.data.batch import Batch

_COLUMNS: Final = 6
_SEEN, _HIDDEN = (60, 235, 90), (235, 60, 50)


def contact_sheet(batch: Batch) -> NDArray[np.uint8]:
    """RGB picture: rows of crops, each row followed by the same with its landmarks, green where seen, red where hidden."""
    crops = (batch.image.permute(0, 2, 3, 1).cpu().numpy() * 255.0 + 0.5).astype(np.uint8)
    marked = np.stack([_marked(crops[k], batch, k) for k in range(len(crops))])
    rows: list[NDArray[np.uint8]] = []
    for start in range(0, len(crops) - len(crops) % _COLUMNS, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        rows += [np.concatenate(list(pictures[part]), axis=1) for pictures in (crops, marked)]
    sheet: NDArray[np.uint8] = np.concatenate(rows, axis=0)
    return sheet


def _marked(crop: NDArray[np.uint8], batch: Batch, index: int) -> NDArray[np.uint8]:
    out = crop.copy()
    points = batch.points[index, :, :2].cpu().numpy() * len(crop)
    seen = batch.visible[index].cpu().numpy()
    for point, visible in zip(points, seen, strict=True):
        if np.isfinite(point).all() and (np.abs(point) < 4 * len(crop)).all():
            # cv2 counts pixel centres as integers; four binary digits of fraction.
            x, y = (round((float(value) - 0.5) * 16) for value in point)
            cv2.circle(out, (x, y), 12, _SEEN if visible > 0.5 else _HIDDEN, -1, cv2.LINE_AA, 4)
    return out
