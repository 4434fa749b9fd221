"""8-bit sRGB codes and linear light (IEC 61966-2-1)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def _linear_table() -> Float32:
    code = np.arange(256) / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


LINEAR: Final = _linear_table()
"""(256,) linear light in 0..1 of 8-bit codes."""
_BETWEEN: Final = (LINEAR[1:] + LINEAR[:-1]) / 2.0


def to_codes(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The nearest 8-bit codes of linear light; what is outside 0..1 becomes black or white."""
    return np.searchsorted(_BETWEEN, linear).astype(np.uint8)
