"""What a ``.csv`` take keeps beside its table, and reading both back.

A table cannot say which camera and which person it belongs to; ``take.csv.json`` does. What neither holds is made from what
they hold: eye turns from gaze, the axis-angle pose from the quaternion, a neck at rest.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.recording.header import TakeHeader
from tracker.rotations import head_rotvec_from_matrix, matrix_from_quaternion, rotvec_from_matrix, yaw_pitch_matrix
from tracker.types import FrameResult

_MOST_DENOMINATOR: Final = 1_000_000


class CsvSidecar:
    """The JSON beside a table, as far as it is known."""

    def __init__(self, header: TakeHeader, columns: tuple[str, ...]) -> None:
        self._facts: dict[str, Any] = {
            **header.to_record(),
            "with_raw": False,
            "with_landmarks": False,
            "appearance": None,
            "regions": list(header.regions or ()),
            "frames": 0,
            "complete": False,
            "columns": list(columns),
            "image": [0, 0],
            "camera": [1.0, 0.0, 0.0],
            "unix_offset_ns": 0,
            "identities": {},
        }
        self._versions: dict[int, int] = {}
        self._began = False

    def notice(self, result: FrameResult) -> bool:
        """Take note of a frame; True when that changed what is to be saved."""
        changed = not self._began
        if changed:
            camera = result.camera
            self._facts["image"] = [camera.width, camera.height]
            self._facts["camera"] = [camera.focal_px, camera.cx, camera.cy]
            self._facts["unix_offset_ns"] = result.t_unix_ns - result.t_capture_ns
            self._began = True
        for face in result.faces:
            if self._versions.get(face.id) != face.identity_version:
                self._versions[face.id] = face.identity_version
                self._facts["identities"][str(face.id)] = np.asarray(face.identity, np.float64).tolist()
                changed = True
        return changed

    def end(self, frames: int, complete: bool) -> None:
        """Say how the take ended."""
        self._facts |= {"frames": frames, "complete": complete}

    def to_json(self) -> bytes:
        return (json.dumps(self._facts, indent=1) + "\n").encode()


def read_csv(path: Path, sidecar: Path) -> Iterator[dict[str, Any]]:
    """The maps of a ``.csv`` take, header first, as ``read_jsonl`` gives them. A last line that was cut off is left out.

    Raises:
        RecordingError: the table or what lies beside it is missing, damaged or not that of a take.
    """
    facts = _read_sidecar(path, sidecar)
    try:
        header = TakeHeader.from_record(facts)
        yield facts
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(_whole_lines(file))
            missing = set(facts["columns"]) - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"the column {min(missing)} is missing")
            reader = _Rows(header, facts)
            for _, group in itertools.groupby(rows, key=lambda row: (row["frame"], row["t_capture_ns"])):
                yield reader.frame(list(group))
        if facts["complete"]:
            yield {"end": {"frames": facts["frames"], "complete": True}}
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, ZeroDivisionError, OverflowError, csv.Error) as error:
        raise RecordingError(f"{path} is damaged ({error}); expected a .csv take with {sidecar.name}") from error


def _read_sidecar(path: Path, sidecar: Path) -> dict[str, Any]:
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordingError(
            f"{path} cannot be read without {sidecar.name} beside it, which says what the table cannot; "
            f"keep the two together (other tables, Live Link's among them, are no takes)"
        ) from None
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read {sidecar} beside {path}: {error}") from error
    if not isinstance(facts, dict) or "identities" not in facts:
        raise RecordingError(f"{path} is not a take that can be read back: {sidecar.name} lacks 'identities'")
    return facts


def _whole_lines(lines: Iterator[str] | Any) -> Iterator[str]:
    for line in lines:
        if not line.endswith("\n"):
            return
        yield line


class _Rows:
    """Rows of the table to frame records."""

    def __init__(self, header: TakeHeader, facts: Mapping[str, Any]) -> None:
        names = header.expression_names
        self._expressions = ARKIT_NAMES if names == ARKIT_NAMES else tuple(f"expr_{name}" for name in names)
        self._facts = facts
        self._rate = header.rate
        self._known: set[str] = set()

    def frame(self, rows: list[dict[str, str]]) -> dict[str, Any]:
        first = rows[0]
        capture_ns = int(first["t_capture_ns"])
        pts = self._pts(first["pts_s"])
        return {
            "frame": int(first["frame"]),
            "t_capture": capture_ns,
            "t_unix": capture_ns + int(self._facts["unix_offset_ns"]),
            "pts": None if pts is None else [pts.numerator, pts.denominator],
            "image": self._facts["image"],
            "camera": self._facts["camera"],
            "faces": [self._face(row) for row in rows if row["face_id"]],
        }

    def _pts(self, text: str) -> Fraction | None:
        """Nine decimals back to the fraction of a steady rate that they came from, where they did."""
        if not text:
            return None
        told = Fraction(text)
        if self._rate:
            exact = round(told * self._rate) / self._rate
            if abs(exact - told) < Fraction(1, 10**9):
                return exact
        return told.limit_denominator(_MOST_DENOMINATOR)

    def _face(self, row: dict[str, str]) -> dict[str, Any]:
        def numbers(*names: str) -> list[float]:
            values = [float(row[name]) for name in names]
            if not np.isfinite(values).all():
                raise ValueError(f"{names[0]} of frame {row['frame']} is not finite")
            return values

        quaternion = np.array(numbers("quaternion_x", "quaternion_y", "quaternion_z", "quaternion_w"))
        if not 0.9 < float(np.linalg.norm(quaternion)) < 1.1:
            raise ValueError(f"the quaternion of frame {row['frame']} is none")
        quaternion /= np.linalg.norm(quaternion)
        position = numbers("position_x_m", "position_y_m", "position_z_m")
        gaze = {side: numbers(f"gaze_{side}_yaw_rad", f"gaze_{side}_pitch_rad") for side in ("left", "right")}
        eyes = [rotvec_from_matrix(yaw_pitch_matrix(*gaze[side])) for side in ("left", "right")]
        record: dict[str, Any] = {
            "id": int(row["face_id"]),
            "tracked": row["tracked"] == "1",
            "confidence": numbers("confidence")[0],
            "age": int(row["age"]),
            "bbox": numbers("bbox_x_px", "bbox_y_px", "bbox_width_px", "bbox_height_px"),
            "params": {
                "expression": numbers(*self._expressions),
                "rotation": head_rotvec_from_matrix(matrix_from_quaternion(quaternion)).tolist(),
                "translation": position,
                "neck": [0.0, 0.0, 0.0],
                "jaw": numbers("jaw_x_rad", "jaw_y_rad", "jaw_z_rad"),
                "eyes": np.concatenate(eyes).tolist(),
                "eyelids": numbers("eyelid_left", "eyelid_right"),
            },
            "head": {"position": position, "quaternion": quaternion.tolist()},
            "arkit": numbers(*ARKIT_NAMES),
            "gaze": gaze,
            "residual_px": numbers("residual_px")[0],
            "identity_version": 1,
            "landmark_set": "",
        }
        if row["face_id"] not in self._known:
            self._known.add(row["face_id"])
            record["identity"] = self._facts["identities"][row["face_id"]]
        return record
