"""sRGB and linear light (IEC 61966-2-1), as numbers in 0..1 and as 8-bit codes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def to_linear(srgb: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Linear light in 0..1 of sRGB in 0..1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def from_linear(linear: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """sRGB of linear light; above 1 the curve goes on, below 0 its straight part does."""
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)


LINEAR: Final[Float32] = to_linear(np.arange(256) / 255.0).astype(np.float32)
"""(256,) linear light in 0..1 of 8-bit codes."""
_BETWEEN: Final = (LINEAR[1:] + LINEAR[:-1]) / 2.0


def to_codes(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The nearest 8-bit codes of linear light; what is outside 0..1 becomes black or white."""
    return np.searchsorted(_BETWEEN, linear).astype(np.uint8)
