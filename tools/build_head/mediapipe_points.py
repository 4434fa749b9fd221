"""Which of MediaPipe's 478 points lie where. Right is the subject's right."""

from __future__ import annotations

from typing import Final

EYE_UPPER_RIGHT: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_LOWER_RIGHT: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_UPPER_LEFT: Final = (263, 466, 388, 387, 386, 385, 384, 398, 362)
EYE_LOWER_LEFT: Final = (263, 249, 390, 373, 374, 380, 381, 382, 362)
"""Lid margins, outer to inner corner."""
LIPS_OUTER_UPPER: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Right to left corner."""
LIP_UPPER: Final = (
    185, 40, 39, 37, 0, 267, 269, 270, 409, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    183, 42, 41, 38, 12, 268, 271, 272, 407, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
LIP_LOWER: Final = (
    146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307,
    96, 89, 179, 86, 15, 316, 403, 319, 325, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
"""All points of each lip without the corners, outer to inner row."""
BROW_RIGHT: Final = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
BROW_LEFT: Final = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
FACE_OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
NOSE_TIP: Final = 1
IRIS_RIGHT: Final = (468, 469, 470, 471, 472)
IRIS_LEFT: Final = (473, 474, 475, 476, 477)
"""Centre, then the iris border towards the subject's left, up, right, down."""
IBUG_INNER: Final = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 240, 97, 2, 326, 460,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)  # fmt: skip
"""The points 17..67 of the iBUG set; nearest on average over 43 hand-labelled faces, which the network was run on."""
IBUG_JAW: Final = (127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356)
"""The points 0..16 of the iBUG set, subject's right to left."""
