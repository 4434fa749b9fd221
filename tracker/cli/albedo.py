"""``--albedo``: what was learned about a skin, as a texture on disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from tracker.face_model import FaceModel
    from tracker.tracking import FrameTracker
    from tracker.types import Albedo, FrameResult

MAP_SIZE: Final = 1024


def add_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the option."""
    parser.add_argument(
        "--albedo", type=Path, metavar="PNG",
        help=f"also write {what} as a texture of the face model, {MAP_SIZE}x{MAP_SIZE}, sRGB, and how well each pixel was seen "
        "beside it (PNG-coverage.png)",
    )  # fmt: skip


def check(path: Path | None) -> None:
    """Raise ConfigError for a name that is no picture's."""
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"cannot write {path}: --albedo wants a name ending in .png")


def write(path: Path, model: FaceModel, albedo: Albedo) -> Path:
    """Write the texture and its coverage; returns the name of the latter.

    Raises:
        FaceModelError: the model has no texture coordinates.
        RecordingError: one of them cannot be written.
    """
    import numpy as np

    from tracker.appearance import albedo_uv, place_points
    from tracker.rendering.picture_file import write_picture
    from tracker.srgb import to_codes

    texture, seen = albedo_uv(model, place_points(model), albedo, MAP_SIZE)
    beside = path.with_name(f"{path.stem}-coverage.png")
    write_picture(path, to_codes(texture))
    write_picture(beside, np.round(seen * 255.0).astype(np.uint8))
    return beside


class Skins:
    """The albedo of the face that a clip mostly shows."""

    def __init__(self) -> None:
        self._frames: dict[int, int] = {}
        self._albedo: dict[int, Albedo] = {}

    def add(self, result: FrameResult) -> None:
        """Take in the next frame."""
        for face in result.faces:
            if face.albedo is not None:
                self._frames[face.id] = self._frames.get(face.id, 0) + 1
                self._albedo[face.id] = face.albedo

    def write(self, path: Path, tracker: FrameTracker) -> str:
        """Write texture and coverage; returns a line about them. Raises as ``write``."""
        if not self._frames:
            return f"{path} is not written: no skin could be told from light"
        face_id = max(self._frames, key=lambda each: self._frames[each])
        skin = tracker.skin_of(face_id)
        known = self._albedo[face_id] if skin is None else skin.albedo
        beside = write(path, tracker.fitted_model, known)
        return f"{path}, {beside.name}: {known.coverage:.0%} of the face seen"
