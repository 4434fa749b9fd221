"""Reading takes back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.errors import RecordingError
from tracker.face_model.model import FaceModel
from tracker.face_model.store import load_told_model
from tracker.recording.appearance import albedo_of, light_of, occlusion_of
from tracker.recording.columns import NO_FACE, PARAM_COLUMNS, ColumnStore
from tracker.recording.csv_take import read_csv
from tracker.recording.files import part_path
from tracker.recording.header import TakeHeader
from tracker.recording.journal import MAGIC as JOURNAL_MAGIC
from tracker.recording.journal import read_journal
from tracker.recording.mcap_take import MAGIC as MCAP_MAGIC
from tracker.recording.mcap_take import read_mcap
from tracker.recording.npz import check_take, read_npz, slot_prefix, write_npz_to
from tracker.recording.outputs import sidecar_path
from tracker.recording.parquet_take import MAGIC as PARQUET_MAGIC
from tracker.recording.parquet_take import read_parquet
from tracker.recording.text import frame_records, read_jsonl
from tracker.types import Clock, Face, FaceParams, FrameResult, IdentityState, Landmarks
from tracker.unit_codes import from_unit_codes

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Take:
    """A recorded take: what docs/takes.md describes, and its frames as the results they were.

    ``len(take)`` is the number of frames, ``take[i]`` and iteration give ``FrameResult``.
    """

    path: Path
    header: TakeHeader = field(repr=False)
    arrays: dict[str, Array] = field(repr=False)
    """All arrays of the finished take by their key, e.g. ``arkit`` (T, 52)."""
    meta: dict[str, Any] = field(repr=False)
    """``meta_json``."""

    def __len__(self) -> int:
        return int(self.meta["frames"])

    def __iter__(self) -> Iterator[FrameResult]:
        return (self.frame(row) for row in range(len(self)))

    def __getitem__(self, key: str) -> Array:
        return self.arrays[key]

    def check_frames(self) -> None:
        """Raise ``RecordingError`` if the take has no frame."""
        if not len(self):
            raise RecordingError(f"{self.path} is empty: it has no frame")

    def load_model(self, chosen: str | None = None) -> FaceModel:
        """The face model whose parameters the take holds.

        Args:
            chosen: a name or path to use in place of the one that the take tells.

        Raises:
            FaceModelError: there is no such model here.
            RecordingError: the take is not in the parameters of the chosen one.
        """
        model = load_told_model(self.meta["model"], chosen)
        self.check_model(model)
        return model

    def check_model(self, model: FaceModel) -> None:
        """Raise ``RecordingError`` unless the take is in the parameters of ``model``."""
        made_with = self.meta["model"]
        if made_with["identity_count"] != model.identity_count or self.expression_names != model.published_names:
            raise RecordingError(
                f"{self.path} was made with the face model '{made_with['name']}', not with '{model.name}'; "
                "name its file with --face-model"
            )

    def slot_array(self, slot: int, key: str) -> Array:
        """A per-face array of a slot: ``slot_array(0, "arkit")`` is ``take["arkit"]``."""
        return self.arrays[slot_prefix(slot) + key]

    @property
    def complete(self) -> bool:
        """False when recording ended before the source did."""
        return bool(self.meta["complete"])

    @property
    def slot_count(self) -> int:
        """The largest number of faces at a time, at least 1."""
        return int(self.meta["slots"])

    @property
    def expression_names(self) -> tuple[str, ...]:
        return self.header.expression_names

    @property
    def clock(self) -> Clock:
        return self.header.clock

    @property
    def rate(self) -> Fraction | None:
        """Nominal frame rate of the source in 1/s, where it stated one."""
        return self.header.rate

    def frame(self, row: int) -> FrameResult:
        """The result of one frame; without recorded landmarks or raw values, those are empty or the smoothed ones.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"the take has frames 0..{len(self) - 1}, not {row}")
        a = self.arrays
        k = a["K"][row]
        width, height = (int(value) for value in a["frame_size"][row])
        numerator, denominator = (int(value) for value in a["pts"][row])
        faces = (self._face(slot_prefix(slot), row) for slot in range(self.slot_count))
        return FrameResult(
            index=int(a["frame_index"][row]),
            t_capture_ns=int(a["timestamps_ns"][row]),
            clock=self.clock,
            t_unix_ns=int(a["t_unix_ns"][row]),
            camera=Camera(width, height, float(k[0, 0]), float(k[0, 2]), float(k[1, 2])),
            faces=tuple(face for face in faces if face is not None),
            pts_s=Fraction(numerator, denominator) if denominator else None,
            rate=self.rate,
        )

    def _face(self, prefix: str, row: int) -> Face | None:
        a = self.arrays
        face_id = int(a[prefix + "face_id"][row])
        if face_id == NO_FACE:
            return None
        identity_row = int(a[prefix + "identity_row"][row])
        known = 0 <= identity_row < len(a["identity"])
        identity = a["identity"][identity_row] if known else np.zeros(self.header.identity_count, np.float32)
        state = None
        if known and "identity_sigma" in a:
            state = IdentityState(
                confidence=float(a["identity_confidence"][identity_row]),
                frozen=bool(a["identity_frozen"][identity_row]),
                keyframes=int(a["identity_keyframes"][identity_row]),
                sigma=a["identity_sigma"][identity_row],
            )
        params = self._params(prefix, row)
        has_raw = f"{prefix}raw_expr" in a
        points = a[f"{prefix}landmarks"][row] if f"{prefix}landmarks" in a else np.zeros((0, 3), np.float32)
        sigma = a[f"{prefix}sigma"][row].astype(np.float32) if f"{prefix}sigma" in a else np.zeros(0, np.float32)
        visibility = from_unit_codes(a[f"{prefix}visibility"][row]) if f"{prefix}visibility" in a else None
        return Face(
            id=face_id,
            tracked=bool(a[prefix + "tracked"][row]),
            confidence=float(a[prefix + "confidence"][row]),
            age=int(a[prefix + "age"][row]),
            box=a[prefix + "bbox"][row],
            params=params,
            raw=self._params(f"{prefix}raw_", row) if has_raw else params,
            identity=identity,
            identity_version=int(a["identity_version"][identity_row]) if known else 0,
            position=a[prefix + "position"][row],
            quaternion=a[prefix + "quaternion"][row],
            arkit=a[prefix + "arkit"][row],
            gaze_left=a[prefix + "gaze_left"][row],
            gaze_right=a[prefix + "gaze_right"][row],
            landmarks=Landmarks(str(self.meta.get("landmark_set", "")), points, sigma, visibility),
            residual_px=float(a[prefix + "residual_px"][row]),
            arkit_raw=a[f"{prefix}raw_arkit"][row] if has_raw else None,
            identity_state=state,
            light=light_of(a, prefix, row),
            occlusion=occlusion_of(a, prefix, row),
            albedo=albedo_of(a, face_id),
        )

    def _params(self, prefix: str, row: int) -> FaceParams:
        values = {name: self.arrays[prefix + column][row] for name, column in PARAM_COLUMNS.items()}
        values["expression"] = values["expression"][: len(self.expression_names)]
        return FaceParams(**values)


def read_take(path: str | Path) -> Take:
    """Read a take of any format, or the ``.part`` that a recording which was cut off has left.

    Raises:
        RecordingError: the file is missing, damaged, or no take, or its format needs a package that is not installed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError as error:
        part = part_path(path)
        hint = f"; a recording that was cut off has left {part}, give that" if part.is_file() else ""
        raise RecordingError(f"cannot read take {path}: {error.strerror}{hint}") from error
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    if start.startswith(JOURNAL_MAGIC):
        return _from_maps(path, read_journal(path))
    if start[:1] == b"{":
        return _from_maps(path, read_jsonl(path))
    if start.startswith(MCAP_MAGIC):
        return _from_maps(path, read_mcap(path))
    if start.startswith(PARQUET_MAGIC):
        return _from_parquet(path)
    if start.startswith(b"frame,") or ".csv" in path.suffixes:
        return _from_maps(path, read_csv(path, sidecar_path(path)))
    header, arrays, meta = read_npz(path)
    return Take(path, header, arrays, meta)


def _from_parquet(path: Path) -> Take:
    arrays, meta = read_parquet(path)
    return Take(path, check_take(path, arrays, meta), arrays, meta)


def _from_maps(path: Path, maps: Iterator[dict[str, Any]]) -> Take:
    """A take from a journal or ``.jsonl``, by way of the ``.npz`` that it would have become."""
    try:
        header = TakeHeader.from_record(next(maps, {}))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{path} is not a take: its header is unreadable ({error})") from error
    end: dict[str, Any] = {}
    try:
        with ColumnStore(header, None) as columns, tempfile.TemporaryFile() as file:
            columns.add_all(frame_records(path, header, maps, end))
            write_npz_to(file, header, columns, complete=bool(end.get("complete", False)))
            file.seek(0)
            header, arrays, meta = read_npz(path, file)
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise RecordingError(f"{path} is damaged: {error}") from error
    return Take(path, header, arrays, meta)
