"""The few expressions of avatars without ARKit shapes: vowels, blinks and moods from 52 weights."""

from __future__ import annotations

from typing import Final

from tracker.bridges.bridge import BridgeFace

VRM0: Final = {
    "Blink": "blink", "Blink_L": "blink_left", "Blink_R": "blink_right",
    "A": "a", "I": "i", "U": "u", "E": "e", "O": "o",
    "Joy": "joy", "Angry": "angry", "Sorrow": "sorrow", "Fun": "fun",
}  # fmt: skip
"""Preset name of VRM 0 -> key of ``preset_values``."""
VRM1: Final = {
    "blink": "blink", "blinkLeft": "blink_left", "blinkRight": "blink_right",
    "aa": "a", "ih": "i", "ou": "u", "ee": "e", "oh": "o",
    "happy": "joy", "angry": "angry", "sad": "sorrow", "relaxed": "fun", "surprised": "surprised",
}  # fmt: skip
"""The same for VRM 1."""


def preset_values(face: BridgeFace) -> dict[str, float]:
    """Values in 0..1. The moods are mild on purpose: they add to the vowels on most avatars.

    A vowel is how open the mouth is times its shape: round and narrow (u), round and open (o), wide (i, e), neither (a).
    """
    weight = face.weight
    blink_left, blink_right = weight("eyeBlinkLeft"), weight("eyeBlinkRight")
    smile = 0.5 * (weight("mouthSmileLeft") + weight("mouthSmileRight"))
    frown = 0.5 * (weight("mouthFrownLeft") + weight("mouthFrownRight"))
    stretch = 0.5 * (weight("mouthStretchLeft") + weight("mouthStretchRight"))
    brow_down = 0.5 * (weight("browDownLeft") + weight("browDownRight"))
    brow_up = weight("browInnerUp")
    opened = min(1.0, 1.5 * max(0.0, weight("jawOpen") - weight("mouthClose")))
    narrow, funnel = weight("mouthPucker"), weight("mouthFunnel")
    round_ = min(1.0, max(narrow, funnel))
    wide = min(1.0, smile + stretch) * (1.0 - round_)
    return {
        # Both shut as one closes both lids of avatars that have no halves; a wink must not.
        "blink": 0.0 if abs(blink_left - blink_right) > 0.4 else min(blink_left, blink_right),
        "blink_left": blink_left if abs(blink_left - blink_right) > 0.4 else 0.0,
        "blink_right": blink_right if abs(blink_left - blink_right) > 0.4 else 0.0,
        "a": opened * (1.0 - round_) * (1.0 - 0.7 * wide),
        "i": 0.6 * wide * (1.0 - opened),
        "u": narrow * (1.0 - 0.6 * opened),
        "e": opened * wide * 0.7,
        "o": opened * round_,
        "joy": max(0.0, min(1.0, 1.4 * smile - 0.2)) * (1.0 - opened),
        "angry": max(0.0, min(1.0, 1.5 * brow_down - 0.3)) * (1.0 - smile),
        "sorrow": max(0.0, min(1.0, 1.5 * frown - 0.2)) * (1.0 - smile),
        "fun": 0.3 * smile * (1.0 - opened),
        "surprised": max(0.0, min(1.0, 1.5 * brow_up - 0.4)) * opened,
    }
