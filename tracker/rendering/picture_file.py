"""Pictures to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.errors import RecordingError

_QUALITY: Final = 85


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write RGB (H, W, 3) or grey (H, W) as PNG or JPEG, by the name; folders on the way are made.

    Raises:
        RecordingError: it cannot be written.
    """
    done, data = cv2.imencode(
        path.suffix.lower(),
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image,
        [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if path.suffix.lower() == ".jpg" else [],
    )
    if not done:
        raise RecordingError(f"cannot encode {path}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror or error}") from error
