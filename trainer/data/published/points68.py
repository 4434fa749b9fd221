"""300W-style points: one ``.pts`` file beside each picture; pixels count from 1."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from trainer.data.published.sample import Sample, listed, picture_of
from trainer.errors import DataError

LANDMARK_SET: Final = "ibug68"


def annotation_files(folder: Path) -> list[Path]:
    """All .pts files."""
    return listed(folder, "*.pts", "300W")


def read(path: Path) -> Sample:
    """One face. Raises ``DataError`` for a file of another kind or a damaged one."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} as a .pts file: {error}") from None
    head, brace, rest = text.partition("{")
    body, end, _ = rest.partition("}")
    try:
        points = np.array([line.split() for line in body.strip().splitlines()], np.float64)
    except ValueError:
        points = np.empty(0)
    if not (head.lstrip().startswith("version") and brace and end) or points.shape != (68, 2):
        raise DataError(
            f"{path} is not a .pts file of 68 points: expected 'version: 1', 'n_points: 68' and 68 lines in braces"
        )
    return Sample(picture_of(path), np.column_stack([points - 0.5, np.full(68, np.nan)]))
