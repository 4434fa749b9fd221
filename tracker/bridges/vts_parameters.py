"""VTube Studio's tracking parameters from a face.

Angles are degrees: ``FaceAngleX`` + to the subject's left, ``FaceAngleY`` + up, ``FaceAngleZ`` + to the subject's right
shoulder; eyes are -1..1, + to the subject's left and up. These are the senses in which another bridge feeds it from Live Link
Face, and those of Live2D's standard parameters, where + X shows the model's left; they were not compared with a running VTube
Studio, whose settings mirror each axis if a model wants it. Positions are in its own units, about a decimetre each, from where
the head was first.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.axes import yaw_pitch_roll
from tracker.bridges.bridge import BridgeFace, Float64
from tracker.bridges.names import capital

STANDARD: Final = (
    "FacePositionX", "FacePositionY", "FacePositionZ", "FaceAngleX", "FaceAngleY", "FaceAngleZ",
    "MouthSmile", "MouthOpen", "MouthX", "Brows", "BrowLeftY", "BrowRightY", "EyeOpenLeft", "EyeOpenRight",
    "EyeLeftX", "EyeLeftY", "EyeRightX", "EyeRightY", "TongueOut", "CheekPuff", "FaceAngry",
)  # fmt: skip
"""VTube Studio has these itself."""
CUSTOM: Final = {capital(name): name for name in ARKIT_NAMES if capital(name) not in STANDARD}
"""Parameter to create -> ARKit name."""
_UNIT_M = 0.1
_MOST_GAZE = math.radians(35.0)


def standard_values(face: BridgeFace, rest: Float64) -> dict[str, float]:
    """The values of ``STANDARD``; ``rest`` (3,) is where the head rests in the facing frame, metres."""
    weight = face.weight
    yaw, pitch, roll = yaw_pitch_roll(face.rotation)
    x, y, z = ((face.position - rest) / _UNIT_M).tolist()
    smile = 0.5 * (weight("mouthSmileLeft") + weight("mouthSmileRight"))
    frown = 0.5 * (weight("mouthFrownLeft") + weight("mouthFrownRight"))
    brow_down = 0.5 * (weight("browDownLeft") + weight("browDownRight"))
    brows = [
        _clip(0.5 + 0.5 * (0.5 * (weight("browInnerUp") + weight(f"browOuterUp{side}")) - weight(f"browDown{side}")))
        for side in ("Left", "Right")
    ]
    values = {
        "FacePositionX": _clip(x, -15.0, 15.0),
        "FacePositionY": _clip(y, -15.0, 15.0),
        "FacePositionZ": _clip(z, -10.0, 10.0),
        "FaceAngleX": _clip(math.degrees(yaw), -90.0, 90.0),
        "FaceAngleY": _clip(math.degrees(pitch), -90.0, 90.0),
        "FaceAngleZ": _clip(-math.degrees(roll), -90.0, 90.0),
        # Half is a mouth at rest.
        "MouthSmile": _clip(0.5 + 0.5 * (smile - frown)),
        "MouthOpen": _clip(weight("jawOpen") - weight("mouthClose")),
        "MouthX": _clip(weight("mouthLeft") - weight("mouthRight"), -1.0),
        "Brows": 0.5 * (brows[0] + brows[1]),
        "BrowLeftY": brows[0],
        "BrowRightY": brows[1],
        "TongueOut": _clip(weight("tongueOut")),
        "CheekPuff": _clip(weight("cheekPuff")),
        "FaceAngry": _clip(1.5 * brow_down - 0.3 - smile),
    }
    for side, gaze in (("Left", face.face.gaze_left), ("Right", face.face.gaze_right)):
        values[f"EyeOpen{side}"] = _clip(1.0 - weight(f"eyeBlink{side}"))
        values[f"Eye{side}X"] = _clip(float(gaze[0]) / _MOST_GAZE, -1.0)
        values[f"Eye{side}Y"] = _clip(float(gaze[1]) / _MOST_GAZE, -1.0)
    return values


def custom_values(face: BridgeFace) -> dict[str, float]:
    """The values of ``CUSTOM``, 0..1."""
    return {parameter: face.weight(name) for parameter, name in CUSTOM.items()}


def resting_place(face: BridgeFace) -> Float64:
    """Where positions are measured from: where the head is now."""
    return np.array(face.position, np.float64)


def _clip(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return max(low, min(high, value))
