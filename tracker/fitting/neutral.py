"""The neutral calibration of a stream: asked for from any thread, captured and applied in the fit's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tracker.errors import ConfigError
from tracker.fitting.calibration import NeutralCalibration, NeutralCapture, Refused
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face, Notice

State = Literal["none", "calibrating", "calibrated", "failed"]


@dataclass(frozen=True, slots=True)
class CalibrationStatus:
    """How a request for calibration stands."""

    state: State = "none"
    ticket: int = 0
    reason: str | None = None
    """Why it failed."""


class NeutralReference:
    """Holds the calibration of one face. It stays with its face; once that is gone the next new face takes it over.

    ``request``, ``off`` and ``status`` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._status = CalibrationStatus()
        self._capture: NeutralCapture | None = None
        self._calibration: NeutralCalibration | None = None
        self._face_id: int | None = None

    @property
    def status(self) -> CalibrationStatus:
        return self._status

    def request(self, *, gaze: bool = False) -> int:
        """Begin a capture with the next frame; returns its ticket. A calibration in force stays until another has succeeded.

        Raises:
            ConfigError: a capture is under way.
        """
        with self._lock:
            if self._capture is not None:
                raise ConfigError(
                    f"calibration {self._status.ticket} is still under way: wait for it, or `calibrate off`"
                )
            self._status = CalibrationStatus("calibrating", self._status.ticket + 1)
            self._capture = NeutralCapture(gaze)
            return self._status.ticket

    def off(self) -> None:
        """Forget the calibration and end a capture that is under way."""
        with self._lock:
            self._capture = self._calibration = self._face_id = None
            self._status = CalibrationStatus("none", self._status.ticket)

    def adopt(self, calibration: NeutralCalibration, face_id: int) -> None:
        """Apply a calibration that was made before."""
        with self._lock:
            self._calibration, self._face_id = calibration, face_id

    def drop(self, face_id: int) -> bool:
        """Forget the calibration of a face that turned out to be somebody else; whether there was one."""
        with self._lock:
            if self._face_id != face_id or self._calibration is None:
                return False
            self._calibration = self._face_id = None
            self._status = CalibrationStatus("none", self._status.ticket)
            return True

    def process(
        self, faces: tuple[Face, ...], t_capture_ns: int, known: set[int]
    ) -> tuple[tuple[Face, ...], list[Notice]]:
        """Capture from, and calibrate, the faces of one frame; ``known`` are the ids that are not forgotten yet."""
        with self._lock:
            notices = [] if self._capture is None else self._watch(self._capture, faces, t_capture_ns)
            if self._calibration is None:
                return faces, notices
            if faces and self._face_id not in known:
                self._face_id = faces[0].id
            calibration, face_id = self._calibration, self._face_id
        return tuple(_calibrated(face, calibration) if face.id == face_id else face for face in faces), notices

    def _watch(self, capture: NeutralCapture, faces: tuple[Face, ...], t_capture_ns: int) -> list[Notice]:
        if capture.face_id is None and faces:
            capture.face_id = faces[0].id
        face = next((face for face in faces if face.id == capture.face_id), None)
        if face is None:
            outcome: NeutralCalibration | Refused | None = capture.miss(t_capture_ns)
        else:
            rotation = matrix_from_rotvec(face.params.rotation.astype(np.float64))
            outcome = capture.add(t_capture_ns, face.arkit, rotation, (face.gaze_left, face.gaze_right))
        if outcome is None:
            return []
        self._capture = None
        ticket = self._status.ticket
        if isinstance(outcome, Refused):
            self._status = CalibrationStatus("failed", ticket, outcome.reason)
            return [Notice("calibration_failed", {"ticket": ticket, "reason": outcome.reason})]
        self._calibration, self._face_id = outcome, capture.face_id
        self._status = CalibrationStatus("calibrated", ticket)
        return [Notice("calibrated", {"ticket": ticket, "id": capture.face_id, "rest": outcome.strongest()})]


def _calibrated(face: Face, calibration: NeutralCalibration) -> Face:
    left, right = calibration.gazes(face.gaze_left, face.gaze_right)
    return replace(face, arkit=calibration.weights(face.arkit), gaze_left=left, gaze_right=right)
