"""Pictures to disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import RecordingError


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write RGB (H, W, 3) or grey (H, W); folders on the way are made.

    Raises:
        RecordingError: it cannot be written.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    if not done:
        raise RecordingError(f"cannot encode {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror or error}") from error
