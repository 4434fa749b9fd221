"""This tracker with everything on: detection, landmarks, expression scores, fit, smoothing, wire bytes."""

from __future__ import annotations

import os
import uuid

import numpy as np
from numpy.typing import NDArray

from tools.peers.subject import PRECISION_VARIABLE, Seen
from tracker.config import TrackerConfig
from tracker.publishing import wire
from tracker.rotations import matrix_from_rotvec
from tracker.tracking import FrameTracker
from tracker.types import Frame, FrameResult


class Measured:
    """One face, with the default configuration but for the precision that the environment may name."""

    def __init__(self) -> None:
        self._stream = str(uuid.uuid4())
        self.reset()

    def reset(self) -> None:
        self._tracker = FrameTracker(TrackerConfig(precision=os.environ.get(PRECISION_VARIABLE, "auto")))
        self._index = 0

    def process(self, image: NDArray[np.uint8], t_ms: int) -> FrameResult | None:
        frame = Frame(image, self._index, t_ms * 1_000_000, "media", 0)
        self._index += 1
        result = self._tracker.process(frame)
        wire.pack(
            wire.encode_frame(result, stream=self._stream, seq=frame.index, schema=1, t_publish_ns=frame.t_capture_ns)
        )
        return result if result.faces else None

    def seen(self, result: FrameResult) -> Seen:
        face = result.faces[0]
        return Seen(
            face.landmarks.points,
            face.arkit,
            matrix_from_rotvec(face.params.rotation).astype(np.float32),
            face.params.translation,
        )
