"""Neutral calibration: what a person's relaxed face shows becomes zero, and full range stays full range.

    w' = clip((w - w0) / (1 - w0), 0, 1)

so that weights at rest (w = w0) come out as 0 and a shut eye or an open mouth (w = 1) still as 1. It applies to the published
ARKit weights; the model's own parameters and everything raw stay what was fitted, because the mesh must lie on the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.rotations import angle_between

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

DURATION_NS: Final = 2_000_000_000
_WAIT_NS: Final = 3_000_000_000
"""A face must appear within that time."""
_LONGEST_GAP_NS: Final = 500_000_000
_LEAST_FRAMES: Final = 12
_LEAST_SHARE: Final = 0.8
_MOST_TURN_DEG: Final = 6.0
_SHUT: Final = 0.5
_MOST_SHUT_SHARE: Final = 0.3
_MOST_SPREAD: Final = 0.25
_MOST_REST: Final = 0.6
"""A weight that rests higher is an expression and not a neutral face."""

_BLINKS: Final = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]
_LOOKS: Final = [index for name, index in ARKIT_INDEX.items() if name.startswith("eyeLook")]
_GAZE_PAIRS: Final = tuple(
    (ARKIT_INDEX[f"eyeLook{plus}{side}"], ARKIT_INDEX[f"eyeLook{minus}{side}"])
    for side in ("Left", "Right")
    for plus, minus in (("Up", "Down"), ("Out", "In"))
)
_CLOSE, _OPEN = ARKIT_INDEX["mouthClose"], ARKIT_INDEX["jawOpen"]


@dataclass(frozen=True, slots=True)
class NeutralCalibration:
    """One person's relaxed face."""

    rest: Float32
    """(52,) ARKit weights at rest in ``ARKIT_NAMES`` order, below 1. Those of the gaze count only with ``gaze``."""
    gaze: tuple[Float32, Float32] | None = None
    """(2,) yaw and pitch of the left and the right eye that become straight ahead, where that was asked for."""

    def weights(self, arkit: Float32) -> Float32:
        """Calibrated weights (52,) of weights (52,)."""
        rest = np.minimum(self.rest, _MOST_REST)
        rest[_LOOKS] = 0.0
        moved = np.clip((arkit - rest) / (1.0 - rest), 0.0, 1.0).astype(np.float32)
        moved[_CLOSE] = min(moved[_CLOSE], moved[_OPEN])
        if self.gaze is not None:
            for plus, minus in _GAZE_PAIRS:
                signed = (arkit[plus] - arkit[minus]) - (self.rest[plus] - self.rest[minus])
                moved[plus], moved[minus] = np.clip([signed, -signed], 0.0, 1.0)
        return moved

    def gazes(self, left: Float32, right: Float32) -> tuple[Float32, Float32]:
        """Calibrated yaw and pitch (2,) of both eyes."""
        return (left, right) if self.gaze is None else (left - self.gaze[0], right - self.gaze[1])

    def strongest(self, count: int = 5) -> dict[str, float]:
        """What rested highest: name to weight."""
        shown = self.rest.copy()
        shown[_LOOKS] = 0.0
        return {ARKIT_NAMES[i]: round(float(shown[i]), 3) for i in np.argsort(-shown)[:count] if shown[i] >= 0.01}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a capture led to nothing: one line for the person before the camera."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Sample:
    t_ns: int
    arkit: Float32
    rotation: Float64
    gaze: tuple[Float32, Float32]


@dataclass(slots=True)
class NeutralCapture:
    """Watches one face for two seconds. Call ``add`` or ``miss`` once a frame until it returns an outcome."""

    with_gaze: bool = False
    face_id: int | None = None
    _begun_ns: int | None = None
    _last_ns: int = 0
    _missed: int = 0
    _samples: list[_Sample] = field(default_factory=list)

    def miss(self, t_ns: int) -> Refused | None:
        """The face was not in this frame."""
        if self._begun_ns is None:
            self._begun_ns = t_ns
        if not self._samples:
            return Refused("no face was seen") if t_ns - self._begun_ns > _WAIT_NS else None
        self._missed += 1
        return Refused("the face was lost") if t_ns - self._last_ns > _LONGEST_GAP_NS else None

    def add(
        self, t_ns: int, arkit: Float32, rotation: Float64, gaze: tuple[Float32, Float32]
    ) -> NeutralCalibration | Refused | None:
        """The face in this frame: weights (52,), head rotation (3, 3), yaw and pitch (2,) of both eyes."""
        self._last_ns = t_ns
        self._samples.append(_Sample(t_ns, arkit.copy(), rotation, gaze))
        return None if t_ns - self._samples[0].t_ns < DURATION_NS else self._judge()

    def _judge(self) -> NeutralCalibration | Refused:
        count = len(self._samples)
        if count < _LEAST_FRAMES:
            return Refused(f"only {count} frames came in two seconds, at least {_LEAST_FRAMES} are needed")
        if count < _LEAST_SHARE * (count + self._missed):
            return Refused("the face was lost too often")
        arkit = np.stack([sample.arkit for sample in self._samples])
        shut = np.max(arkit[:, _BLINKS], axis=1) > _SHUT
        if shut.mean() > _MOST_SHUT_SHARE:
            return Refused("the eyes were shut too often: look into the camera")
        middle = self._samples[count // 2].rotation
        turns = [angle_between(middle, sample.rotation) for sample in self._samples]
        turn_deg = math.degrees(float(np.percentile(turns, 90)))
        if turn_deg > _MOST_TURN_DEG:
            return Refused(f"the head turned by {turn_deg:.0f} degrees: hold it still")
        seen = arkit[~shut]
        spread = np.percentile(seen, 90, axis=0) - np.percentile(seen, 10, axis=0)
        spread[_LOOKS] = 0.0
        if spread.max() > _MOST_SPREAD:
            name = ARKIT_NAMES[int(spread.argmax())]
            return Refused(f"the face moved ({name} by {spread.max():.2f}): hold it relaxed")
        rest = np.median(seen, axis=0).astype(np.float32)
        face = rest.copy()
        face[_LOOKS] = 0.0
        if face.max() > _MOST_REST:
            return Refused(f"{ARKIT_NAMES[int(face.argmax())]} was at {face.max():.2f}: relax your face")
        if not self.with_gaze:
            return NeutralCalibration(rest)
        open_eyed = [sample.gaze for sample, closed in zip(self._samples, shut, strict=True) if not closed]
        left, right = (np.median([gaze[eye] for gaze in open_eyed], axis=0).astype(np.float32) for eye in (0, 1))
        return NeutralCalibration(rest, (left, right))
