"""One annotated photograph, whichever set it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a file says. Image points are continuous: the centre of the first pixel is (0.5, 0.5)."""

    image: Path
    points: Float64
    """(N, 3) pixels; z on the same scale, growing away from the camera, from any zero. NaN where unknown."""
    visible: Float64 | None = None
    """(N,) 1 seen, 0 hidden; None where the set does not say."""
    rotation: Float64 | None = None
    """(3, 3) head axes to OpenCV camera axes."""
    parameters: dict[str, Float64] = field(default_factory=dict)
    """Coefficients of the set's own model, by their names in the file: for whoever has that model."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """RGB (H, W, 3). Raises ``DataError`` when it is missing or no picture."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"cannot read the picture {path}: {error.strerror}") from None
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if decoded is None:
        raise DataError(f"{path} is not a picture that can be decoded; copy it from the data set again")
    return np.ascontiguousarray(decoded[:, :, ::-1], np.uint8)


def listed(folder: Path, pattern: str, what: str) -> list[Path]:
    """Files below ``folder`` in a fixed order. Raises ``DataError`` when there is no such folder or file."""
    if not folder.is_dir():
        raise DataError(f"{what}: there is no folder {folder}; give the folder into which the set was unpacked")
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not found:
        raise DataError(f"{what}: no {pattern} below {folder}; give the folder into which the set was unpacked")
    return found


def picture_of(annotation: Path, folder: Path | None = None) -> Path:
    """The picture of the same name. Raises ``DataError`` when there is none."""
    base = annotation if folder is None else folder / annotation.name
    for suffix in (".jpg", ".png", ".jpeg", ".JPG", ".PNG"):
        if base.with_suffix(suffix).is_file():
            return base.with_suffix(suffix)
    raise DataError(f"{annotation} has no picture: expected {base.with_suffix('.jpg')} or .png")
