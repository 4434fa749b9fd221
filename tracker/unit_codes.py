"""Numbers in 0..1 as bytes, for the wire and for takes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32

_FULL: Final = np.float32(255.0)


def to_unit_codes(values: Float32) -> NDArray[np.uint8]:
    """Codes 0..255 of numbers in 0..1, of any shape; what lies outside becomes 0 or 255."""
    codes: NDArray[np.uint8] = np.round(np.clip(values, 0.0, 1.0) * _FULL).astype(np.uint8)
    return codes


def from_unit_codes(codes: NDArray[np.uint8]) -> Float32:
    """The numbers in 0..1 that codes stand for, to 1/510."""
    values: Float32 = (codes / _FULL).astype(np.float32)
    return values
