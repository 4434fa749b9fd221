"""WFLW: lists of 98 points, a box, six attributes and the picture's name a line (Wu 2018, "Look at boundary")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from trainer.data.published.sample import Sample
from trainer.errors import DataError

LANDMARK_SET: Final = "wflw98"
_COUNT: Final = 98
_NUMBERS: Final = 2 * _COUNT + 4 + 6


def read_list(path: Path, pictures: Path) -> list[Sample]:
    """All faces of a list (``list_98pt_rect_attr_train.txt``).

    Args:
        path: the list.
        pictures: the folder ``WFLW_images``.

    Raises:
        DataError: a line of another kind, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the WFLW list {path}: {error}") from None
    found = list(_samples(lines, path, pictures))
    if not found:
        raise DataError(f"{path} is empty: expected a WFLW list such as list_98pt_rect_attr_train.txt")
    return found


def _samples(lines: list[str], path: Path, pictures: Path) -> Iterator[Sample]:
    for number, line in enumerate(lines, 1):
        words = line.split(maxsplit=_NUMBERS)
        if not words:
            continue
        try:
            values = np.array(words[:_NUMBERS], np.float64)
        except ValueError:
            values = np.empty(0)
        if len(words) != _NUMBERS + 1 or values.size != _NUMBERS:
            raise DataError(
                f"{path}, line {number}: expected 196 coordinates, 4 of a box, 6 attributes and a picture's name"
            )
        flat = values[: 2 * _COUNT].reshape(_COUNT, 2)
        attributes = values[2 * _COUNT + 4 :]
        yield Sample(
            pictures / words[_NUMBERS],
            np.column_stack([flat, np.full(_COUNT, np.nan)]),
            parameters={"attributes": attributes},
        )
