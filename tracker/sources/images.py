"""Folders and patterns of still images as a source."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import SourceError
from tracker.sources.base import FrameSource, OnEvent, ignore_event
from tracker.types import Frame, ImageRGB

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
DEFAULT_RATE = Fraction(30)


class ImageFiles(FrameSource):
    """Images in the order given, as frames of a film of ``rate`` frames per second.

    Orientation tags (EXIF) are applied, transparency is dropped, grey becomes RGB, 16 bits become 8. An image that cannot
    be read is skipped with a ``skipped`` event and leaves a gap in index and time.
    """

    frame_count_exact = True

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        name: str = "",
        rate: Fraction | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Take the images in ``paths`` and read the first readable one.

        Raises:
            SourceError: none of them can be read.
        """
        self.name = name or (str(paths[0]) if paths else "")
        self.rate = rate or DEFAULT_RATE
        self.frame_count = len(paths)
        self._paths = list(paths)
        self._tell = ignore_event if on_event is None else on_event
        self._position = 0
        first = self._next_image()
        if first is None:
            raise SourceError(
                f"{self.name}: not one of {len(paths)} images can be read (damaged, or other files renamed)"
            )
        self._first: Frame | None = first
        self.size = (first.width, first.height)

    def read(self) -> Frame | None:
        if self.state in ("ended", "closed"):
            return None
        frame = self._first or self._next_image()
        self._first = None
        if frame is None:
            self.state = "ended"
        return frame

    def close(self) -> None:
        self._first = None
        super().close()

    def _next_image(self) -> Frame | None:
        while self._position < len(self._paths):
            position = self._position
            self._position += 1
            image = read_image(self._paths[position])
            if image is None:
                self._tell("skipped", f"{self._paths[position]} is not a readable image; skipped")
                continue
            pts_s = position / self.rate if self.rate else Fraction(0)
            return Frame(
                image=image,
                index=position,
                t_capture_ns=round(pts_s * 1_000_000_000),
                clock="media",
                t_unix_ns=time.time_ns(),
                pts_s=pts_s,
                rate=self.rate,
            )
        return None


def read_image(path: Path) -> ImageRGB | None:
    """Read one image file upright as RGB uint8 (H, W, 3); None when it is missing, damaged or no image."""
    import cv2

    try:
        encoded: NDArray[np.uint8] = np.fromfile(path, dtype=np.uint8)
    except OSError:
        return None
    if encoded.size == 0:
        return None
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # e.g. more pixels than OpenCV accepts
        return None
    return None if image is None else np.ascontiguousarray(image, dtype=np.uint8)


def list_folder(folder: Path) -> list[Path]:
    """Return the image files of a folder in natural order (``img2`` before ``img10``); hidden files are left out."""
    files = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."))
    return sorted((entry for entry in files if entry.is_file()), key=natural_key)


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorting key that counts runs of digits as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
