"""How good a track is, in numbers that tell bad clips from good ones without looking at them."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

import numpy as np

from tracker.rotations import head_euler, matrix_from_quaternion
from tracker.types import HIDDEN_BELOW, Face, FrameResult, IdentityState

_DECIMALS: Final = 5


class QualityMeter:
    """Takes frame results one by one, tracked or read from a take; memory grows by some bytes a frame.

    Figures about the face are those of the largest tracked one of each frame.
    """

    def __init__(self) -> None:
        self._frames = 0
        self._first: FrameResult | None = None
        self._last: FrameResult | None = None
        self._ids: set[int] = set()
        self._lost = self._longest_loss = 0
        self._columns = {name: array("f") for name in ("confidence", "residual_px", "misfit", "face_px", "turn_deg")}
        self._in_sight = array("f")
        self._identity: IdentityState | None = None

    def add(self, result: FrameResult) -> None:
        """Take in the next frame."""
        self._frames += 1
        self._first = self._first or result
        self._last = result
        tracked = [face for face in result.faces if face.tracked]
        self._ids.update(face.id for face in tracked)
        if not tracked:
            self._lost += 1
            self._longest_loss = max(self._longest_loss, self._lost)
            return
        self._lost = 0
        self._face(max(tracked, key=lambda face: float(face.box[2] * face.box[3])))

    def _face(self, face: Face) -> None:
        width_px = max(float(face.box[2]), 1.0)
        yaw, pitch, _ = head_euler(matrix_from_quaternion(face.quaternion))
        row = {
            "confidence": face.confidence,
            "residual_px": face.residual_px,
            "misfit": face.residual_px / width_px,
            "face_px": width_px,
            "turn_deg": math.degrees(math.acos(max(-1.0, min(1.0, math.cos(yaw) * math.cos(pitch))))),
        }
        for name, value in row.items():
            self._columns[name].append(value)
        if face.landmarks.visibility is not None:
            self._in_sight.append(float((face.landmarks.visibility >= HIDDEN_BELOW).mean()))
        self._identity = face.identity_state or self._identity

    def summary(self) -> dict[str, Any]:
        """The figures by name, plain values, None where there is nothing to tell them from; docs/takes.md explains each."""
        columns = {name: np.frombuffer(values, np.float32) for name, values in self._columns.items()}
        tracked = columns["confidence"].size
        figures: dict[str, Any] = {
            **self._source(),
            "frames": self._frames,
            "tracked": tracked,
            "lost_share": 1.0 - tracked / self._frames if self._frames else None,
            "longest_loss": self._longest_loss,
            "faces": len(self._ids),
            "confidence_mean": _mean(columns["confidence"]),
            "confidence_p05": _percentile(columns["confidence"], 5),
            "residual_px_mean": _mean(columns["residual_px"]),
            "misfit_mean": _mean(columns["misfit"]),
            "misfit_p95": _percentile(columns["misfit"], 95),
            "face_px_median": _percentile(columns["face_px"], 50),
            "turn_deg_p95": _percentile(columns["turn_deg"], 95),
            "in_sight_mean": _mean(np.frombuffer(self._in_sight, np.float32)),
            "identity_confidence": None if self._identity is None else self._identity.confidence,
            "identity_sigma_mean": None if self._identity is None else float(self._identity.sigma.mean()),
            "identity_frozen": None if self._identity is None else self._identity.frozen,
        }
        return {name: _rounded(value) if isinstance(value, float) else value for name, value in figures.items()}

    def _source(self) -> dict[str, Any]:
        first, last = self._first, self._last
        if first is None or last is None:
            return dict.fromkeys(("width", "height", "fps", "duration_s"))
        span_s = (last.t_capture_ns - first.t_capture_ns) * 1e-9
        # As many periods as frames: the last one is shown for a while, too.
        duration_s = span_s * self._frames / (self._frames - 1) if self._frames > 1 else 0.0
        return {
            "width": first.camera.width,
            "height": first.camera.height,
            "fps": (self._frames - 1) / span_s if span_s > 0.0 else None,
            "duration_s": duration_s,
        }


def _rounded(value: float) -> float | None:
    return round(value, _DECIMALS) if math.isfinite(value) else None


def _mean(values: np.ndarray[Any, np.dtype[np.float32]]) -> float | None:
    return float(values.mean(dtype=np.float64)) if values.size else None


def _percentile(values: np.ndarray[Any, np.dtype[np.float32]], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values.size else None
