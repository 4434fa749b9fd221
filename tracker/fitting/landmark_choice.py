"""Which landmarks of a set a fit uses.

Cheeks and forehead are smooth and their landmarks err together: every second one says as much about the face as all of
them, for less (on rendered heads pose, identity and expression come out the same). Lids, lips, brows and irises carry the
expression and stay complete. Points that slide over the face are left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LEAST_TRUST: Final = 0.15
LIPS: Final = (
    0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191, 267, 269, 270, 291, 308, 310, 311,
    312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
)  # fmt: skip
LIDS: Final = (
    7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246, 249, 263, 362, 373, 374, 380, 381, 382, 384, 385,
    386, 387, 388, 390, 398, 466,
)  # fmt: skip
BROWS: Final = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
IRISES: Final = tuple(range(468, 478))
_FEATURES: Final[dict[str, tuple[int, ...]]] = {"mediapipe478": (*LIPS, *LIDS, *BROWS, *IRISES)}


def choose_points(set_name: str, trust: NDArray[np.floating]) -> NDArray[np.intp]:
    """Indices of the landmarks to fit, ascending; ``trust`` (L,) is the embedding's weight. All of an unknown set."""
    if set_name not in _FEATURES:
        return np.arange(trust.shape[0])
    chosen = (trust > _LEAST_TRUST) & (np.arange(trust.shape[0]) % 2 == 0)
    chosen[list(_FEATURES[set_name])] = True
    return np.flatnonzero(chosen)
