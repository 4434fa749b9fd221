"""Takes as text: ``.jsonl`` (everything, one frame a line) and ``.csv`` (one face and frame a line, to look at and plot)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.recording.appearance import csv_columns, csv_numbers
from tracker.recording.header import TakeHeader
from tracker.recording.records import with_arrays
from tracker.rotations import head_euler, matrix_from_quaternion
from tracker.types import Face, FrameResult

_DECIMALS: Final = 8
"""Of metres, radians, weights and pixels in text: finer than float32 above 0.1, and 10 nm below."""


def json_line(record: dict[str, Any]) -> bytes:
    """One line of a ``.jsonl`` take. Arrays become lists with 8 decimals."""
    return json.dumps(record, default=_as_list, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _as_list(value: object) -> object:
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8:
            return value.tolist()
        return np.round(value.astype(np.float64), _DECIMALS).tolist()
    raise TypeError(f"a {type(value).__name__} has no place in a take")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The maps of a ``.jsonl`` take, header first. A last line that was cut off is left out.

    Raises:
        RecordingError: the file cannot be read or a line before the last is not JSON.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    value = json.loads(line)
                except ValueError as error:
                    raise RecordingError(f"{path} line {number} is not JSON ({error}); expected a take") from error
                if not isinstance(value, dict):
                    raise RecordingError(f"{path} line {number} is not a map; expected a take")
                yield value
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error


def frame_records(
    path: Path, header: TakeHeader, maps: Iterator[dict[str, Any]], end: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Checked frame records of a journal or ``.jsonl`` take after its header; what its last map says goes into ``end``.

    Raises:
        RecordingError: a map is not a frame of this take.
    """
    expressions, identities = len(header.expression_names), header.identity_count
    for number, record in enumerate(maps):
        if "end" in record:
            end.update(record["end"])
            return
        try:
            yield with_arrays(record, expressions, identities)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{path}: frame record {number} is damaged ({error})") from error


class CsvTable:
    """The columns of a ``.csv`` take and its lines."""

    def __init__(self, expression_names: tuple[str, ...], regions: tuple[str, ...] | None = None) -> None:
        """``regions`` of the face model for takes with appearance."""
        self._regions = regions
        self._expressions = () if expression_names == ARKIT_NAMES else expression_names
        self.columns: tuple[str, ...] = (
            "frame", "t_capture_ns", "pts_s", "face_id", "tracked", "confidence", "age",
            "bbox_x_px", "bbox_y_px", "bbox_width_px", "bbox_height_px",
            "position_x_m", "position_y_m", "position_z_m",
            "quaternion_x", "quaternion_y", "quaternion_z", "quaternion_w",
            "yaw_rad", "pitch_rad", "roll_rad",
            "gaze_left_yaw_rad", "gaze_left_pitch_rad", "gaze_right_yaw_rad", "gaze_right_pitch_rad",
            "eyelid_left", "eyelid_right", "jaw_x_rad", "jaw_y_rad", "jaw_z_rad", "residual_px",
            *ARKIT_NAMES,
            *(f"expr_{name}" for name in self._expressions),
            *(() if regions is None else csv_columns(regions)),
        )  # fmt: skip

    def header(self) -> bytes:
        return (",".join(self.columns) + "\n").encode()

    def lines(self, result: FrameResult) -> bytes:
        """A line for every face; for a frame without a face one line whose face columns are empty."""
        pts = "" if result.pts_s is None else f"{float(result.pts_s):.9f}"
        start = f"{result.index},{result.t_capture_ns},{pts}"
        if not result.faces:
            empty = len(self.columns) - 5
            return f"{start},,0{',' * empty}\n".encode()
        return "".join(f"{start},{self._face(face)}\n" for face in result.faces).encode()

    def _face(self, face: Face) -> str:
        numbers = np.concatenate(
            [
                face.box,
                face.position,
                face.quaternion,
                head_euler(matrix_from_quaternion(face.quaternion)),
                face.gaze_left,
                face.gaze_right,
                face.params.eyelids,
                face.params.jaw,
                [face.residual_px],
                face.arkit,
                face.params.expression if self._expressions else (),
                () if self._regions is None else csv_numbers(face, len(self._regions)),
            ]
        )
        rounded = ",".join(map(str, np.round(numbers.astype(np.float64), 6).tolist()))
        return f"{face.id},{int(face.tracked)},{face.confidence:.6f},{face.age},{rounded}"


def last_line(path: Path) -> bytes:
    """The last whole line of a file, empty when it has none, without reading what is before. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 4096))
        lines = file.read().split(b"\n")
    return lines[-2] if len(lines) > 1 else b""
