"""What synthetic people do: every expression in turn over a moving head, the same on every run."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.fitting.recenter import FRONTAL
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]

_BOTH: Final = (
    "browDown", "browOuterUp", "eyeBlink", "eyeLookDown", "eyeLookUp", "eyeSquint", "eyeWide", "cheekSquint", "noseSneer",
    "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp",
)  # fmt: skip
_GROUPS: Final[tuple[tuple[str, ...], ...]] = (
    *((f"{name}Left", f"{name}Right") for name in _BOTH),
    ("eyeBlinkLeft",), ("eyeBlinkRight",), ("mouthSmileLeft",), ("mouthSmileRight",),
    ("eyeLookInLeft", "eyeLookOutRight"), ("eyeLookOutLeft", "eyeLookInRight"),
    ("browInnerUp",), ("cheekPuff",), ("jawForward",), ("jawLeft",), ("jawRight",), ("jawOpen",), ("jawOpen", "mouthClose"),
    ("mouthFunnel",), ("mouthPucker",), ("mouthLeft",), ("mouthRight",), ("mouthRollLower",), ("mouthRollUpper",),
    ("mouthShrugLower",), ("mouthShrugUpper",),
)  # fmt: skip
_REST: Final = 10
_GROUP_FRAMES: Final = 14
_STEP: Final = 7


def frame_count() -> int:
    """Frames in which every expression has its turn."""
    return _REST + (len(_GROUPS) - 1) * _STEP + _GROUP_FRAMES


def expressions(seed: int) -> Float32:
    """(T, 52) weights in ``ARKIT_NAMES`` order: each group swells and fades, overlapping the next, in an order of its own."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((frame_count(), len(ARKIT_NAMES)), np.float32)
    swell = 0.5 - 0.5 * np.cos(np.linspace(0.0, 2.0 * np.pi, _GROUP_FRAMES))
    for turn, group in enumerate(rng.permutation(len(_GROUPS))):
        start = _REST + turn * _STEP
        for name in _GROUPS[group]:
            weights[start : start + _GROUP_FRAMES, ARKIT_INDEX[name]] += rng.uniform(0.5, 1.0) * swell
    close, opened = ARKIT_INDEX["mouthClose"], ARKIT_INDEX["jawOpen"]
    np.clip(weights, 0.0, 1.0, out=weights)
    np.minimum(weights[:, close], weights[:, opened], out=weights[:, close])
    return weights


def poses(seed: int, depth_m: float = 0.55) -> tuple[NDArray[np.float64], Float32]:
    """Head rotations (T, 3, 3) to camera axes, and positions (T, 3) in metres: slow turns to both sides, nods and tilts."""
    rng = np.random.default_rng(seed + 1000)
    t = np.arange(frame_count()) / 30.0
    amplitude = np.radians([9.0, 24.0, 8.0])
    frequency = rng.uniform([0.17, 0.22, 0.13], [0.27, 0.34, 0.22])
    angles = amplitude * np.sin(2.0 * np.pi * (frequency * t[:, None] + rng.uniform(size=3)))
    rotations = np.stack([FRONTAL @ matrix_from_rotvec(angle) for angle in angles])
    reach = np.array([0.04, 0.025, 0.05])
    sway = reach * np.sin(2.0 * np.pi * (rng.uniform(0.1, 0.25, 3) * t[:, None] + rng.uniform(size=3)))
    return rotations, (sway + np.array([0.0, 0.0, depth_m])).astype(np.float32)
