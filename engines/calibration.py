"""What an int8 engine was calibrated with and may deviate: part of which engine it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.cache import sha256_of
from engines.version import own_version

DEFAULT_ROWS: Final = 96
"""Real inputs that are asked for: two thirds calibrate, one third judges."""
DEFAULT_DEVIATION_PX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where real inputs come from, how many of them, and what the accuracy gate allows."""

    file: Path | None = None
    """An .npz file; None: the pictures of whoever knows the network, the same ones in one version of this program."""
    rows: int = DEFAULT_ROWS
    max_deviation_px: float = DEFAULT_DEVIATION_PX

    def identity(self) -> str:
        """Twenty hexadecimal digits that change with the file's content, the rows and the limit.

        Raises:
            EngineError: the file cannot be read.
        """
        source = f"samples {own_version()}" if self.file is None else sha256_of(self.file, "calibration file")
        return hashlib.sha256(repr((source, self.rows, self.max_deviation_px)).encode()).hexdigest()[:20]

    def arguments(self) -> list[str]:
        """What to type to get the same."""
        parts = [] if self.file is None else ["--calibrate", str(self.file)]
        parts += [] if self.rows == DEFAULT_ROWS else ["--rows", str(self.rows)]
        changed = self.max_deviation_px != DEFAULT_DEVIATION_PX
        return [*parts, "--max-deviation", f"{self.max_deviation_px:g}"] if changed else parts
