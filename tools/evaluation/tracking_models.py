"""The face models that are compared as the tracker's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracker.face_model import FaceModel, load_face_model

NAMES: Final = ("builtin",)


def load(names: Sequence[str] = NAMES) -> dict[str, FaceModel]:
    """Face models by name or path, in that order. Raises FaceModelError."""
    return {name: load_face_model(name) for name in names}
