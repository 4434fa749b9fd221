"""The networks that come with the package: those of ``--encoder own``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

GLANCE: Final = "own_glance.onnx"
BRANCH: Final = "own_branch.onnx"
SHIPPED: Final = (GLANCE, BRANCH)

_FOLDER: Final = Path(__file__).parents[1] / "landmarks" / "data"


def shipped(name: str) -> Path:
    """The file of one of ``SHIPPED``."""
    return _FOLDER / name
