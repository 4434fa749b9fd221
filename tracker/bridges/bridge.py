"""What a bridge is, and the face as it sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.bridges.axes import facing_position, facing_rotation
from tracker.face_model.model import FaceModel
from tracker.types import Face, FrameResult

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BridgeFace:
    """One face in the facing frame (``axes``), for protocols of one person."""

    face: Face
    position: Float64
    """(3,) metres, facing frame."""
    rotation: Float64
    """(3, 3) head axes to facing frame; identity for a face that looks into the camera."""

    @staticmethod
    def of(face: Face) -> BridgeFace:
        """``face`` with its (recentred) pose in the facing frame."""
        return BridgeFace(face, facing_position(face.position), facing_rotation(face.quaternion))

    def weight(self, name: str) -> float:
        """The ARKit weight of that lowerCamel name, 0..1."""
        return float(self.face.arkit[ARKIT_INDEX[name]])


@dataclass(frozen=True, slots=True)
class BridgeFrame:
    """One frame as bridges get it."""

    result: FrameResult
    main: BridgeFace | None
    """The face that single-person protocols send: the one they sent before while it is there, else the first tracked one."""
    rate: Fraction
    """The frame rate of the source if it states one, else what was measured, rounded to a whole number of frames."""
    model: FaceModel | None = None
    """The face model that the faces' parameters belong to, where it is known and a bridge asked for it."""

    @property
    def tracked(self) -> bool:
        """Whether the main face is really seen in this frame (not absent, not just held)."""
        return self.main is not None and self.main.face.tracked


class Bridge(ABC):
    """A connection to one receiver. All methods are called from one thread."""

    keep_alive_s: float | None = None
    """Call ``keep_alive`` when nothing was sent for this long; None: silence is fine."""
    most_per_s: float = 240.0
    """Frames beyond this rate are left out (the newest is sent)."""
    needs_model: bool = False
    """Whether ``BridgeFrame.model`` is wanted, so that others need not load it."""

    @property
    @abstractmethod
    def target(self) -> str:
        """Where it sends, for people: ``livelink to 127.0.0.1:11111``."""

    @abstractmethod
    def send(self, frame: BridgeFrame) -> None:
        """Send one frame. Raises OSError when the network refuses; the worker reports it and goes on."""

    def keep_alive(self) -> None:  # noqa: B027 (most protocols need none)
        """Say that we are still here although there is no new frame."""

    def close(self) -> None:  # noqa: B027
        """Say goodbye and let go. May be called twice."""
