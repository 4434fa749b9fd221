"""VRCFaceTracking's "unified" expressions and v2 avatar parameters from ARKit's 52 weights.

The unified shapes come from ARKit as VRCFaceTracking's own Live Link module derives them, so an avatar moves the same whichever
way it is fed. The combined parameters are its ``UnifiedExpressionsParameters`` (version of April 2026). Shapes without a
source in ARKit (tongue directions, sucked-in cheeks, nostrils, swallowing ...) stay zero and are not sent.
"""

from __future__ import annotations

import math

from tracker.bridges.axes import yaw_pitch_roll
from tracker.bridges.bridge import BridgeFace

_SIDES = ("Left", "Right")
_MOST_GAZE = math.radians(45.0)
_QUARTER_TURN = math.radians(90.0)


def unified_shapes(face: BridgeFace) -> dict[str, float]:
    """The base shapes that ARKit's weights tell, 0..1, by their names in VRCFaceTracking."""
    weight = face.weight
    shapes = {
        "JawOpen": weight("jawOpen"),
        "JawForward": weight("jawForward"),
        "MouthClosed": weight("mouthClose"),
        "MouthRaiserUpper": weight("mouthShrugUpper"),
        "MouthRaiserLower": weight("mouthShrugLower"),
        "TongueOut": weight("tongueOut"),
    }
    for side in _SIDES:
        smile, upper_up, brow_down = (weight(name + side) for name in ("mouthSmile", "mouthUpperUp", "browDown"))
        shapes |= {
            f"EyeSquint{side}": weight(f"eyeSquint{side}"),
            f"EyeWide{side}": weight(f"eyeWide{side}"),
            f"BrowPinch{side}": brow_down,
            f"BrowLowerer{side}": brow_down,
            f"BrowInnerUp{side}": weight("browInnerUp"),
            f"BrowOuterUp{side}": weight(f"browOuterUp{side}"),
            f"CheekSquint{side}": weight(f"cheekSquint{side}"),
            f"CheekPuff{side}": weight("cheekPuff"),
            f"NoseSneer{side}": weight(f"noseSneer{side}"),
            f"Jaw{side}": weight(f"jaw{side}"),
            f"LipSuckUpper{side}": min(1.0 - max(0.0, upper_up) ** (1.0 / 6.0), weight("mouthRollUpper")),
            f"LipSuckLower{side}": weight("mouthRollLower"),
            f"MouthUpperUp{side}": upper_up,
            f"MouthUpperDeepen{side}": upper_up,
            f"MouthLowerDown{side}": weight(f"mouthLowerDown{side}"),
            f"MouthUpper{side}": weight(f"mouth{side}"),
            f"MouthLower{side}": weight(f"mouth{side}"),
            f"MouthCornerPull{side}": smile,
            f"MouthCornerSlant{side}": smile,
            f"MouthFrown{side}": weight(f"mouthFrown{side}"),
            f"MouthStretch{side}": weight(f"mouthStretch{side}"),
            f"MouthDimple{side}": weight(f"mouthDimple{side}"),
            f"MouthPress{side}": weight(f"mouthPress{side}"),
        }
        for lip in ("Upper", "Lower"):
            shapes[f"LipFunnel{lip}{side}"] = weight("mouthFunnel")
            shapes[f"LipPucker{lip}{side}"] = weight("mouthPucker")
    return shapes


def openness(face: BridgeFace, side: str) -> float:
    """How far an eye is open, 0..1: the module's formula, in which a squint helps a blink to close it."""
    blink = face.weight(f"eyeBlink{side}")
    return 1.0 - min(1.0, blink + blink * face.weight(f"eyeSquint{side}"))


def v2_parameters(face: BridgeFace) -> dict[str, float]:
    """All v2 parameters that ARKit's weights, gaze and head pose tell: name without ``v2/`` -> value in -1..1.

    Directions: x + is the subject's right, y + up; head yaw + right, pitch + down, roll + left shoulder, quarter turns to 1.
    """
    shapes = unified_shapes(face)
    values = dict(shapes)
    values |= _eyes(face, shapes)
    values |= _brows(shapes)
    values |= _mouth(shapes)
    yaw, pitch, roll = yaw_pitch_roll(face.rotation)
    values |= {
        "Head/Yaw": _clip(-yaw / _QUARTER_TURN),
        "Head/Pitch": _clip(-pitch / _QUARTER_TURN),
        "Head/Roll": _clip(roll / _QUARTER_TURN),
    }
    return values


def _eyes(face: BridgeFace, shapes: dict[str, float]) -> dict[str, float]:
    open_ = {side: openness(face, side) for side in _SIDES}
    wide = {side: shapes[f"EyeWide{side}"] for side in _SIDES}
    gaze = {"Left": face.face.gaze_left, "Right": face.face.gaze_right}
    values: dict[str, float] = {}
    for side in _SIDES:
        values[f"Eye{side}X"] = _clip(-float(gaze[side][0]) / _MOST_GAZE)
        values[f"Eye{side}Y"] = _clip(float(gaze[side][1]) / _MOST_GAZE)
        values[f"EyeOpen{side}"] = open_[side]
        values[f"EyeClosed{side}"] = 1.0 - open_[side]
        values[f"EyeLid{side}"] = 0.75 * open_[side] + 0.25 * wide[side]
    for name in ("EyeOpen", "EyeClosed", "EyeLid"):
        values[name] = 0.5 * (values[f"{name}Left"] + values[f"{name}Right"])
    values["EyeX"] = 0.5 * (values["EyeLeftX"] + values["EyeRightX"])
    values["EyeY"] = 0.5 * (values["EyeLeftY"] + values["EyeRightY"])
    values["EyeWide"] = max(wide.values())
    values["EyeSquint"] = values["EyesSquint"] = max(shapes["EyeSquintLeft"], shapes["EyeSquintRight"])
    return values


def _brows(shapes: dict[str, float]) -> dict[str, float]:
    values: dict[str, float] = {}
    for side in _SIDES:
        inner, outer = shapes[f"BrowInnerUp{side}"], shapes[f"BrowOuterUp{side}"]
        down = 0.75 * shapes[f"BrowLowerer{side}"] + 0.25 * shapes[f"BrowPinch{side}"]
        values[f"BrowUp{side}"] = 0.6 * outer + 0.4 * inner
        values[f"BrowDown{side}"] = down
        values[f"BrowExpression{side}"] = min(1.0, 0.5 * (inner + outer)) - down
    for name in ("BrowUp", "BrowDown", "BrowExpression"):
        values[name] = _mean(values, name)
    for name in ("BrowInnerUp", "BrowOuterUp"):
        values[name] = _mean(shapes, name)
    return values


def _mouth(shapes: dict[str, float]) -> dict[str, float]:
    upper_x = shapes["MouthUpperRight"] - shapes["MouthUpperLeft"]
    lower_x = shapes["MouthLowerRight"] - shapes["MouthLowerLeft"]
    values = {
        "JawX": shapes["JawRight"] - shapes["JawLeft"],
        "JawZ": shapes["JawForward"],
        "MouthUpperX": upper_x,
        "MouthLowerX": lower_x,
        "MouthX": 0.5 * (upper_x + lower_x),
        "CheekPuffSuckLeft": shapes["CheekPuffLeft"],
        "CheekPuffSuckRight": shapes["CheekPuffRight"],
        "CheekPuffSuck": _mean(shapes, "CheekPuff"),
    }
    for name in (
        "CheekSquint", "NoseSneer", "MouthUpperUp", "MouthLowerDown", "MouthStretch", "MouthPress", "MouthDimple",
        "LipSuckUpper", "LipSuckLower", "LipFunnelUpper", "LipFunnelLower", "LipPuckerUpper", "LipPuckerLower",
    ):  # fmt: skip
        values[name] = _mean(shapes, name)
    for name in ("LipSuck", "LipFunnel", "LipPucker"):
        values[name] = 0.5 * (values[f"{name}Upper"] + values[f"{name}Lower"])
    values["MouthOpen"] = 0.5 * (values["MouthUpperUp"] + values["MouthLowerDown"])
    values["MouthTightenerStretch"] = -values["MouthStretch"]
    for side in _SIDES:
        smile = 0.8 * shapes[f"MouthCornerPull{side}"] + 0.2 * shapes[f"MouthCornerSlant{side}"]
        frown, stretch = shapes[f"MouthFrown{side}"], shapes[f"MouthStretch{side}"]
        sad = max(frown, stretch)
        values |= {
            f"LipPucker{side}": 0.5 * (shapes[f"LipPuckerUpper{side}"] + shapes[f"LipPuckerLower{side}"]),
            f"MouthTightenerStretch{side}": -stretch,
            f"MouthCornerY{side}": shapes[f"MouthCornerSlant{side}"] - frown,
            f"MouthSmile{side}": smile,
            f"MouthSad{side}": sad,
            f"SmileFrown{side}": smile - frown,
            f"SmileSad{side}": smile - sad,
        }
        for lip in ("Upper", "Lower"):
            values[f"LipSuckFunnel{lip}{side}"] = shapes[f"LipSuck{lip}{side}"] - shapes[f"LipFunnel{lip}{side}"]
    for name in ("MouthCornerY", "SmileFrown", "SmileSad", "LipSuckFunnelUpper", "LipSuckFunnelLower"):
        values[name] = _mean(values, name)
    return values


def _mean(values: dict[str, float], name: str) -> float:
    return 0.5 * (values[f"{name}Left"] + values[f"{name}Right"])


def _clip(value: float) -> float:
    return max(-1.0, min(1.0, value))
