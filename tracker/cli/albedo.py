"""``--albedo``: what was learned about a skin, as a texture on disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from tracker.face_model import FaceModel
    from tracker.types import Albedo

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
