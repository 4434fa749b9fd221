"""What the people of the expression evaluation do: each expression alone, one-sided, in pairs and as whole faces.

Unlike ``sequences``, no two acts overlap, so that what a weight does while others act can be told from what it does by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.fitting.recenter import FRONTAL
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]
Act = dict[str, float]

_SIDED: Final = (
    "browDown", "browOuterUp", "eyeBlink", "eyeSquint", "eyeWide", "cheekSquint", "noseSneer", "mouthDimple", "mouthFrown",
    "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp",
)  # fmt: skip
_ALSO_ONE_SIDED: Final = (
    "eyeBlink", "mouthSmile", "browDown", "browOuterUp", "noseSneer", "mouthUpperUp", "eyeSquint", "mouthFrown",
)  # fmt: skip
_MIDDLE: Final = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthFunnel", "mouthPucker", "mouthLeft",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip


def _both(**weights: float) -> Act:
    """Names of sided expressions stand for both sides."""
    act: Act = {}
    for name, weight in weights.items():
        for full in (name,) if name in ARKIT_INDEX else (f"{name}Left", f"{name}Right"):
            act[full] = weight
    return act


_LOOK_LEFT: Final[Act] = {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}
_LOOK_RIGHT: Final[Act] = {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0}
_UP, _DOWN = _both(eyeLookUp=1.0), _both(eyeLookDown=1.0)

_ALONE: Final[tuple[Act, ...]] = (
    *(_both(**{name: 1.0}) for name in _SIDED),
    *({f"{name}{side}": 1.0} for name in _ALSO_ONE_SIDED for side in ("Left", "Right")),
    *({name: 1.0} for name in _MIDDLE),
    _UP, _DOWN, _LOOK_LEFT, _LOOK_RIGHT,
    {**_UP, **_LOOK_LEFT}, {**_UP, **_LOOK_RIGHT}, {**_DOWN, **_LOOK_LEFT}, {**_DOWN, **_LOOK_RIGHT},
)  # fmt: skip
_TOGETHER: Final[tuple[Act, ...]] = (
    _both(mouthSmile=1.0, jawOpen=0.5), _both(mouthSmile=0.8, eyeBlink=1.0), _both(mouthPucker=1.0, jawOpen=0.25),
    _both(mouthFunnel=0.8, jawOpen=0.5), _both(jawOpen=0.6, mouthClose=0.6), _both(browInnerUp=0.9, browOuterUp=0.9),
    _both(browDown=1.0, noseSneer=0.6), _both(browDown=1.0, eyeSquint=0.7), _both(browInnerUp=1.0, mouthFrown=0.8),
    _both(eyeLookDown=0.9, mouthSmile=0.8), _both(eyeLookDown=0.9, jawOpen=0.4), _both(eyeLookUp=0.8, browInnerUp=0.8),
    _both(eyeBlink=1.0, browDown=0.7), _both(eyeBlink=1.0, jawOpen=0.5), _both(mouthPress=0.9, browDown=0.6),
    _both(mouthRollLower=0.8, mouthRollUpper=0.8), _both(mouthPucker=0.9, browOuterUp=0.8),
    {"mouthSmileLeft": 0.9, "browOuterUpRight": 0.9}, {"mouthSmileRight": 0.9, "eyeBlinkRight": 1.0},
    {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.7, "mouthSmileLeft": 0.5},
    _both(mouthSmile=0.9, cheekSquint=0.6, eyeSquint=0.4, jawOpen=0.2),
    _both(browInnerUp=0.8, browOuterUp=0.8, eyeWide=0.7, jawOpen=0.5),
    _both(browDown=0.9, noseSneer=0.3, mouthPress=0.5, eyeSquint=0.4),
    _both(noseSneer=0.9, mouthUpperUp=0.5, browDown=0.5), _both(mouthPucker=0.9, mouthFunnel=0.3),
    _both(jawOpen=0.9, eyeWide=0.5), _both(jawOpen=0.3, mouthLowerDown=0.5, mouthUpperUp=0.3),
    _both(jawOpen=0.2, mouthFunnel=0.5),
)  # fmt: skip
_REST: Final = 24
_PROFILE: Final = np.array([0.3, 0.75, 1.0, 1.0, 1.0, 0.75, 0.3, 0.0], np.float32)


@dataclass(frozen=True, slots=True)
class Performance:
    """Weights and head motion of one person, the same on every run."""

    expression: Float32
    """(T, 52) in ``ARKIT_NAMES`` order."""
    rotation: NDArray[np.float64]
    """(T, 3, 3) to camera axes."""
    translation: Float32
    """(T, 3) metres."""
    act: NDArray[np.intp]
    """(T,) which act a frame belongs to, -1 at rest before the first."""


def performance(seed: int) -> Performance:
    """All acts in an order of their own, over slow turns of ±30°, nods of ±12° and tilts of ±8°."""
    rng = np.random.default_rng(seed + 31)
    acts = (*_ALONE, *_TOGETHER)
    frames = _REST + len(acts) * len(_PROFILE)
    weights, which = np.zeros((frames, len(ARKIT_NAMES)), np.float32), np.full(frames, -1, np.intp)
    for turn, index in enumerate(rng.permutation(len(acts))):
        span = slice(_REST + turn * len(_PROFILE), _REST + (turn + 1) * len(_PROFILE))
        size = rng.uniform(0.7, 1.0)
        for name, weight in acts[index].items():
            weights[span, ARKIT_INDEX[name]] = size * weight * _PROFILE
        which[span] = index
    t = np.arange(frames) / 30.0
    swing = np.radians([12.0, 30.0, 8.0]) * np.sin(
        2.0 * np.pi * (rng.uniform([0.10, 0.12, 0.08], [0.16, 0.18, 0.13]) * t[:, None] + rng.uniform(size=3))
    )
    rotation = np.stack([FRONTAL @ matrix_from_rotvec(angle) for angle in swing])
    sway = np.array([0.03, 0.02, 0.05]) * np.sin(
        2.0 * np.pi * (rng.uniform(0.1, 0.2, 3) * t[:, None] + rng.uniform(size=3))
    )
    return Performance(weights, rotation, (sway + np.array([0.0, 0.0, 0.5])).astype(np.float32), which)
