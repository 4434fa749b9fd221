"""Records to the columns of a take, one row a frame, without holding the take in memory.

Faces live in slots. A face stays in its slot while it is there, returns to it after a loss if it is still free, and a new
face takes the lowest free one: with one face at a time everything is in slot 0, whatever its id, and ``face_id`` tells who
it is. Rows are written to temporary files in the order of frames and read back column by column.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.recording.appearance import fill_row, row_fields
from tracker.recording.header import TakeHeader
from tracker.types import Float32, IdentityState, KnownIdentity

NO_FACE: Final = -1
PARAM_COLUMNS: Final = {
    "expression": "expr",
    "rotation": "rotation_camera",
    "translation": "translation_camera",
    "neck": "neck_pose",
    "jaw": "jaw_pose",
    "eyes": "eyes_pose",
    "eyelids": "eyelids",
}
"""Parameter -> column; after VHAP's names where it has them."""

FRAME_ROW: Final = np.dtype(
    [
        ("frame_index", "<i8"),
        ("timestamps_ns", "<i8"),
        ("t_unix_ns", "<i8"),
        ("pts", "<i8", (2,)),
        ("frame_size", "<i4", (2,)),
        ("K", "<f4", (3, 3)),
    ]
)
_CHUNK_BYTES: Final = 1 << 22
_IN_MEMORY_BYTES: Final = 1 << 22

Array = NDArray[Any]


class _Rows:
    """Rows of one structured type in a temporary file."""

    def __init__(self, dtype: np.dtype[Any], folder: Path | None) -> None:
        self.dtype = dtype
        self.row = np.zeros((), dtype)
        # Closed with the ColumnStore that owns it.
        where = None if folder is None else str(folder)
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=where)  # noqa: SIM115

    def write(self) -> None:
        self._file.write(self.row.tobytes())

    def chunks(self) -> Iterator[Array]:
        self._file.seek(0)
        size = max(1, _CHUNK_BYTES // self.dtype.itemsize) * self.dtype.itemsize
        while blob := self._file.read(size):
            yield np.frombuffer(blob, self.dtype)

    def close(self) -> None:
        self._file.close()


class Slot:
    """The rows of one slot and who was in it."""

    def __init__(self, rows: _Rows, with_landmarks: bool, with_visibility: bool, with_appearance: bool) -> None:
        self.rows = rows
        self.with_visibility = with_visibility
        self.with_appearance = with_appearance
        self.with_landmarks = with_landmarks
        self.presence: Counter[int] = Counter()

    def write_face(self, face: dict[str, Any], identity_row: int) -> None:
        row = self.rows.row
        row["face_id"] = face["id"]
        row["tracked"] = face["tracked"]
        row["confidence"] = face["confidence"]
        row["age"] = face["age"]
        row["residual_px"] = face["residual_px"]
        row["identity_row"] = identity_row
        row["bbox"] = face["bbox"]
        for name, column in PARAM_COLUMNS.items():
            row[column] = face["params"][name]
        row["position"] = face["head"]["position"]
        row["quaternion"] = face["head"]["quaternion"]
        row["arkit"] = face["arkit"]
        row["gaze_left"] = face["gaze"]["left"]
        row["gaze_right"] = face["gaze"]["right"]
        if "raw" in face:
            for name, column in PARAM_COLUMNS.items():
                row[f"raw_{column}"] = face["raw"]["params"][name]
            row["raw_arkit"] = face["raw"]["arkit"]
        if self.with_appearance:
            fill_row(row, face)
        if self.with_landmarks and "landmarks" in face:
            row["landmarks"] = face["landmarks"]
            row["sigma"] = face["sigma"]
            if self.with_visibility:
                row["visibility"] = face.get("visibility", 0)
        self.presence[face["id"]] += 1
        self.rows.write()

    def write_absence(self) -> None:
        """A row without a face: parameters stay as they were, what was seen in the image becomes zero."""
        row = self.rows.row
        row["face_id"] = NO_FACE
        row["tracked"] = False
        for key in ("confidence", "age", "residual_px", "bbox"):
            row[key] = 0
        if self.with_appearance:
            fill_row(row, {})
        if self.with_landmarks:
            row["landmarks"] = 0
            row["sigma"] = 0
            if self.with_visibility:
                row["visibility"] = 0
        self.rows.write()

    def resident(self) -> int | None:
        """The id that was here for the most frames."""
        return self.presence.most_common(1)[0][0] if self.presence else None


class ColumnStore:
    """The columns of a take. A context manager: leaving it removes the temporary files."""

    def __init__(self, header: TakeHeader, folder: Path | None) -> None:
        """Temporary files go to ``folder``, or where the system puts them."""
        self._header = header
        self._folder = folder
        self._frames = _Rows(FRAME_ROW, folder)
        self.slots: list[Slot] = []
        self.frame_count = 0
        self.landmark_set = ""
        self.landmark_count = 0
        self.with_visibility = False
        """Whether the take began with a face of which it was known which landmarks are in sight."""
        self.identities: list[tuple[int, KnownIdentity]] = []
        """(face id, identity) in the order of their appearance."""
        self.albedos: dict[int, dict[str, Any]] = {}
        """Face id -> its last albedo record."""
        self._identity_rows: dict[int, int] = {}
        self._homes: dict[int, int] = {}

    def __enter__(self) -> ColumnStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()
        for slot in self.slots:
            slot.rows.close()

    def add_all(self, records: Iterable[dict[str, Any]]) -> None:
        """Add records with float32 arrays, in order.

        Raises:
            ValueError: the landmark set changes within the take.
            OSError: there is no room for the temporary files.
        """
        for record in records:
            self._add(record)

    def _add(self, record: dict[str, Any]) -> None:
        focal, cx, cy = record["camera"]
        row = self._frames.row
        row["frame_index"] = record["frame"]
        row["timestamps_ns"] = record["t_capture"]
        row["t_unix_ns"] = record["t_unix"]
        row["pts"] = record["pts"] or (0, 0)
        row["frame_size"] = record["image"]
        row["K"] = ((focal, 0, cx), (0, focal, cy), (0, 0, 1))
        self._frames.write()
        for face in record["faces"]:
            if "albedo" in face:
                self.albedos[face["id"]] = face["albedo"]
        seated = self._seat(record["faces"])
        for number, slot in enumerate(self.slots):
            face = seated.get(number)
            if face is None:
                slot.write_absence()
            else:
                slot.write_face(face, self._identity_row(face))
        self.frame_count += 1

    def _seat(self, faces: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        seated: dict[int, dict[str, Any]] = {}
        newcomers = []
        for face in faces:
            home = self._homes.get(face["id"])
            if home is None or home in seated:
                newcomers.append(face)
            else:
                seated[home] = face
        for face in newcomers:
            number = next(n for n in range(len(self.slots) + 1) if n not in seated)
            if number == len(self.slots):
                self._open_slot(face)
            self._homes[face["id"]] = number
            seated[number] = face
        if self.landmark_count:
            self._check_landmarks(faces)
        return seated

    def _check_landmarks(self, faces: list[dict[str, Any]]) -> None:
        for face in faces:
            if "landmarks" in face and len(face["landmarks"]) != self.landmark_count:
                raise ValueError(
                    f"a take holds one landmark set: it began with {self.landmark_count} points "
                    f"and has {len(face['landmarks'])} in frame {self.frame_count}"
                )

    def _open_slot(self, face: dict[str, Any]) -> None:
        if not self.slots:
            self.landmark_set = face["landmark_set"]
            self.landmark_count = len(face.get("landmarks", ()))
            self.with_visibility = "visibility" in face
        rows = _Rows(self._slot_row(), self._folder)
        rows.row["rotation_camera"] = (np.pi, 0.0, 0.0)
        rows.row["translation_camera"] = rows.row["position"] = (0.0, 0.0, 0.5)
        rows.row["quaternion"] = (1.0, 0.0, 0.0, 0.0)
        rows.row["identity_row"] = NO_FACE
        if self._header.meta["with_raw"]:
            rows.row["raw_rotation_camera"] = (np.pi, 0.0, 0.0)
            rows.row["raw_translation_camera"] = (0.0, 0.0, 0.5)
        slot = Slot(rows, self.landmark_count > 0, self.with_visibility, self._header.regions is not None)
        for _ in range(self.frame_count):
            slot.write_absence()
        self.slots.append(slot)

    def _slot_row(self) -> np.dtype[Any]:
        expressions, arkit = len(self._header.expression_names), len(ARKIT_NAMES)
        params: list[Any] = [
            ("expr", "<f4", (expressions,)),
            ("rotation_camera", "<f4", (3,)),
            ("translation_camera", "<f4", (3,)),
            ("neck_pose", "<f4", (3,)),
            ("jaw_pose", "<f4", (3,)),
            ("eyes_pose", "<f4", (6,)),
            ("eyelids", "<f4", (2,)),
        ]
        fields: list[Any] = [
            ("face_id", "<i8"),
            ("tracked", "?"),
            ("confidence", "<f4"),
            ("age", "<i8"),
            ("residual_px", "<f4"),
            ("identity_row", "<i4"),
            ("bbox", "<f4", (4,)),
            *params,
            ("position", "<f4", (3,)),
            ("quaternion", "<f4", (4,)),
            ("arkit", "<f4", (arkit,)),
            ("gaze_left", "<f4", (2,)),
            ("gaze_right", "<f4", (2,)),
        ]
        if self._header.meta["with_raw"]:
            fields += [(f"raw_{name}", kind, shape) for name, kind, shape in params]
            fields.append(("raw_arkit", "<f4", (arkit,)))
        if self.landmark_count:
            fields += [("landmarks", "<f4", (self.landmark_count, 3)), ("sigma", "<f4", (self.landmark_count,))]
            if self.with_visibility:
                fields.append(("visibility", "u1", (self.landmark_count,)))
        if self._header.regions is not None:
            fields += row_fields(len(self._header.regions))
        return np.dtype(fields)

    def _identity_row(self, face: dict[str, Any]) -> int:
        if "identity" in face:
            self._identity_rows[face["id"]] = len(self.identities)
            state = IdentityState(**face["identity_state"]) if "identity_state" in face else None
            self.identities.append((face["id"], KnownIdentity(face["identity_version"], face["identity"], state)))
        return self._identity_rows.get(face["id"], NO_FACE)

    def ensure_slot(self) -> None:
        """Open slot 0 for a take that never saw a face, so that every take has the same keys."""
        if not self.slots:
            self._open_slot({"landmark_set": ""})

    def frame_rows(self) -> Iterator[Array]:
        """Structured rows of what every frame has, in chunks."""
        return self._frames.chunks()

    def identity_of(self, slot: Slot) -> Float32:
        """(Ni,) the last identity of the face that was in a slot for most frames; zeros when there was none."""
        resident = slot.resident()
        row = NO_FACE if resident is None else self._identity_rows.get(resident, NO_FACE)
        return np.zeros(self._header.identity_count, np.float32) if row == NO_FACE else self.identities[row][1].shape
