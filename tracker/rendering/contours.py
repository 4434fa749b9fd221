"""The lines people look at first, as paths over the points of the ``mediapipe478`` landmark set.

"Left" and "right" are the subject's. The topology is that of MediaPipe's face mesh (Kartynnik 2019, "Real-time Facial Surface
Geometry from Monocular Video on Mobile GPUs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LANDMARK_SET: Final = "mediapipe478"


@dataclass(frozen=True, slots=True)
class Contour:
    """A path over landmark indices."""

    name: str
    kind: str
    """What it belongs to: ``oval``, ``brow``, ``eye``, ``nose``, ``lips``."""
    points: tuple[int, ...]
    closed: bool = False


CONTOURS: Final[tuple[Contour, ...]] = (
    Contour("oval", "oval", (
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
        148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ), closed=True),
    Contour("brow_right_upper", "brow", (70, 63, 105, 66, 107)),
    Contour("brow_right_lower", "brow", (46, 53, 52, 65, 55)),
    Contour("brow_left_upper", "brow", (300, 293, 334, 296, 336)),
    Contour("brow_left_lower", "brow", (276, 283, 282, 295, 285)),
    Contour("eye_right", "eye", (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246), closed=True),
    Contour("eye_left", "eye", (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466), closed=True),
    Contour("nose_bridge", "nose", (168, 6, 197, 195, 5, 4)),
    Contour("nose_base", "nose", (48, 64, 98, 97, 2, 326, 327, 294, 278)),
    Contour("lips_outer", "lips", (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
    ), closed=True),
    Contour("lips_inner", "lips", (
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
    ), closed=True),
)  # fmt: skip

CONTOUR: Final[dict[str, Contour]] = {contour.name: contour for contour in CONTOURS}

IRIS_RIGHT: Final = (468, 469, 470, 471, 472)
"""Centre, then the ring, of the subject's right iris."""
IRIS_LEFT: Final = (473, 474, 475, 476, 477)

NOSE_BRIDGE: Final = 168
"""The point between the eyes."""
