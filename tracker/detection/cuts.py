"""Cuts: a picture that has nothing to do with the one before, whatever the face crops say."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.types import ImageRGB

_CELLS: Final = 24
# Mean change of cells over their spread: 14 clips without cuts stay below 0.21, the likest of 56 cuts between people in the
# same studio or the same black frame reaches 0.34.
_CUT: Final = 0.27
_DARK: Final = 8.0


class CutDetector:
    """Compares a few hundred pixels of each frame with those of the frame before; a change of exposure is taken out."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """The next frame is the first of another stream."""
        self._before = None

    def is_cut(self, image: ImageRGB) -> bool:
        """Whether ``image``, RGB uint8 (H, W, 3), begins another shot. False for the first one."""
        rows = ((np.arange(_CELLS) + 0.5) * image.shape[0] / _CELLS).astype(np.intp)
        columns = ((np.arange(_CELLS) + 0.5) * image.shape[1] / _CELLS).astype(np.intp)
        now = image[rows[:, None], columns, 1].astype(np.float32)
        before, self._before = self._before, now
        if before is None:
            return False
        gain = (float(now.mean()) + _DARK) / (float(before.mean()) + _DARK)
        spread = max(float(now.std()), float(before.std()), _DARK)
        return float(np.abs(before * gain - now).mean()) > _CUT * spread
