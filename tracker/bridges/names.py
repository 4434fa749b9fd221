"""Other spellings and orders of ARKit's 52 names."""

from __future__ import annotations

from typing import Final

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES

FACE_CAP_NAMES: Final[tuple[str, ...]] = (
    "browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
    "jawOpen", "jawForward", "jawLeft", "jawRight", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
    "mouthRollUpper", "mouthRollLower", "mouthShrugUpper", "mouthShrugLower", "mouthClose",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthStretchLeft", "mouthStretchRight", "tongueOut",
)  # fmt: skip
"""The order of Apple's documentation, which Face Cap numbers its weights by."""
FACE_CAP_INDICES: Final = tuple(ARKIT_INDEX[name] for name in FACE_CAP_NAMES)
"""Where each of them lies in our order."""


def capital(name: str) -> str:
    """``jawOpen`` -> ``JawOpen``."""
    return name[0].upper() + name[1:]


def with_side_letter(name: str) -> str:
    """``eyeBlinkLeft`` -> ``eyeBlink_L``; ``jawLeft`` and ``mouthLeft`` are directions and keep the word."""
    for side, letter in (("Left", "_L"), ("Right", "_R")):
        stem = name.removesuffix(side)
        if stem != name and stem not in ("jaw", "mouth"):
            return stem + letter
    return name


SIDE_LETTER_NAMES: Final = tuple(with_side_letter(name) for name in ARKIT_NAMES)
"""As iFacialMocap writes them, in our order."""
