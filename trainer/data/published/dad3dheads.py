"""DAD-3DHeads: FLAME's vertices and two matrices as JSON for each picture (Martyniuk 2022).

``vertices`` (5023, 3), ``model_view_matrix`` (4, 4) to a camera with y up that looks along -z, ``projection_matrix`` (4, 4) to
pixels whose y counts from the picture's lower edge. Annotations lie in ``annotations/``, pictures in ``images/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.data.published.sample import Sample, listed, picture_of, read_image
from trainer.errors import DataError

Float64 = NDArray[np.float64]
LANDMARK_SET: Final = "flame5023"
_VERTICES: Final = 5023
_TO_OPENCV: Final = np.diag([1.0, -1.0, -1.0])


def annotation_files(folder: Path) -> list[Path]:
    """All annotations of the set or of one of its parts."""
    found = [path for path in listed(folder, "*.json", "DAD-3DHeads") if path.parent.name == "annotations"]
    if not found:
        raise DataError(
            f"DAD-3DHeads: no annotations/*.json below {folder}; give the folder into which the set was unpacked"
        )
    return found


def read(path: Path) -> Sample:
    """One head. Raises ``DataError`` for a file of another kind or a damaged one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"cannot read {path} as JSON: {error}") from None
    vertices = _array(values, "vertices", (_VERTICES, 3), path)
    view = _array(values, "model_view_matrix", (4, 4), path)
    projection = _array(values, "projection_matrix", (4, 4), path)
    picture = picture_of(path, path.parent.parent / "images")
    height = read_image(picture).shape[0]
    placed = np.column_stack([vertices, np.ones(len(vertices))]) @ view.T
    projected = placed @ projection.T
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = projected[:, :2] / projected[:, 3:]
    flat[:, 1] = height - flat[:, 1]
    if not np.isfinite(flat).all():
        raise DataError(f"{path}: its matrices put vertices at infinity")
    # Pixels per unit of depth, from how wide the head is in both.
    spread = placed[:, :2] - placed[:, :2].mean(axis=0)
    scale = float(np.sqrt(((flat - flat.mean(axis=0)) ** 2).sum() / (spread**2).sum()))
    points = np.column_stack([flat, -placed[:, 2] * scale])
    u, _, vt = np.linalg.svd(view[:3, :3])
    return Sample(picture, points, rotation=_TO_OPENCV @ u @ vt)


def _array(values: Any, name: str, shape: tuple[int, int], path: Path) -> Float64:
    try:
        array = np.asarray(values[name], np.float64)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path} has no usable {name}: it is not an annotation of DAD-3DHeads") from None
    if array.shape != shape:
        raise DataError(f"{path}: {name} has the shape {array.shape}, expected {shape}")
    return array
