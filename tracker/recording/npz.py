"""Finished takes: one ``.npz`` with VHAP's keys and ours (docs/takes.md lists them)."""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.recording.appearance import ALBEDO_KEYS, albedo_arrays
from tracker.recording.columns import FRAME_ROW, ColumnStore, Slot
from tracker.recording.files import replacing
from tracker.recording.header import FORMAT, VERSION, TakeHeader
from tracker.recording.vhap import WORLD_TO_CAMERA, world_pose

FLAME_SHAPES: Final = 300
FLAME_EXPRESSIONS: Final = 100
FLAME_VERTICES_WITH_TEETH: Final = 5143

Array = NDArray[Any]

# Floats hardly compress, held and empty columns do; the quickest level takes what there is.
_COMPRESSION_LEVEL: Final = 1


def slot_prefix(number: int) -> str:
    """What the keys of a slot begin with: nothing for the first face."""
    return "" if number == 0 else f"slot{number}_"


def write_npz(path: Path, header: TakeHeader, columns: ColumnStore, *, complete: bool) -> None:
    """Write a take to ``path`` by way of ``path.tmp``. Memory does not grow with its length.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """
    with replacing(path) as file:
        write_npz_to(file, header, columns, complete=complete)


def write_npz_to(file: IO[bytes], header: TakeHeader, columns: ColumnStore, *, complete: bool) -> None:
    """Write a take into an open file. Raises OSError when there is no room."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as archive:
        _write_members(archive, header, columns, complete)


def _write_members(archive: zipfile.ZipFile, header: TakeHeader, columns: ColumnStore, complete: bool) -> None:
    columns.ensure_slot()
    count = columns.frame_count
    # First, so that whoever wants to know what this is reads little.
    meta = {
        **header.to_record(),
        "frames": count,
        "complete": complete,
        "slots": len(columns.slots),
        "landmark_set": columns.landmark_set,
    }
    _write_array(archive, "meta_json", np.array(json.dumps(meta)))
    width, height = next((tuple(chunk["frame_size"][0]) for chunk in columns.frame_rows()), (0, 0))
    focal = next((float(chunk["K"][0, 0, 0]) for chunk in columns.frame_rows()), 0.0)
    _write_array(archive, "image_size", np.array([height, width], np.int64))
    _write_array(archive, "focal_length", np.array([focal / max(width, height, 1)], np.float32))
    _write_array(archive, "n_processed_frames", np.array(count, np.int64))
    _write_array(archive, "arkit_names", np.array(ARKIT_NAMES))
    _write_array(archive, "expression_names", np.array(header.expression_names))
    _write_array(archive, "world_to_camera", WORLD_TO_CAMERA)
    _write_identities(archive, header, columns)
    if header.regions is not None:
        for name, array in albedo_arrays(columns.albedos).items():
            _write_array(archive, name, array)
    for name in FRAME_ROW.names or ():
        _write_column(archive, name, FRAME_ROW[name], count, (chunk[name] for chunk in columns.frame_rows()))
    ids = (np.array([f"{index:05d}" for index in chunk["frame_index"]]) for chunk in columns.frame_rows())
    _write_column(archive, "timestep_id", np.dtype("<U10"), count, ids)
    for number, slot in enumerate(columns.slots):
        _write_slot(archive, slot_prefix(number), header, columns, slot)


def _write_identities(archive: zipfile.ZipFile, header: TakeHeader, columns: ColumnStore) -> None:
    table = np.zeros((len(columns.identities), header.identity_count), np.float32)
    sigma = np.ones_like(table)
    confidence = np.zeros(len(table), np.float32)
    frozen = np.zeros(len(table), np.bool_)
    keyframes = np.zeros(len(table), np.int32)
    for row, (_, known) in enumerate(columns.identities):
        table[row] = known.shape
        if known.state is not None:
            sigma[row], confidence[row] = known.state.sigma, known.state.confidence
            frozen[row], keyframes[row] = known.state.frozen, known.state.keyframes
    _write_array(archive, "identity", table)
    _write_array(archive, "identity_face_id", np.array([face_id for face_id, _ in columns.identities], np.int64))
    _write_array(archive, "identity_version", np.array([known.version for _, known in columns.identities], np.int64))
    _write_array(archive, "identity_sigma", sigma)
    _write_array(archive, "identity_confidence", confidence)
    _write_array(archive, "identity_frozen", frozen)
    _write_array(archive, "identity_keyframes", keyframes)


def _write_slot(archive: zipfile.ZipFile, prefix: str, header: TakeHeader, columns: ColumnStore, slot: Slot) -> None:
    count = columns.frame_count
    identity = columns.identity_of(slot)
    flame = header.is_flame

    def world(part: int) -> Iterator[Array]:
        for chunk in slot.rows.chunks():
            joint = header.root_joint(identity, chunk["expr"])
            pose = world_pose(chunk["rotation_camera"], chunk["translation_camera"], joint, header.source_origin)
            yield pose[part].astype(np.float32)

    vector = np.dtype(("<f4", (3,)))
    _write_column(archive, f"{prefix}rotation", vector, count, world(0))
    _write_column(archive, f"{prefix}translation", vector, count, world(1))
    _write_array(archive, f"{prefix}shape", _padded(identity, FLAME_SHAPES) if flame else identity)
    if flame:
        # VHAP's viewer and GaussianAvatars look for it; ours have no offsets.
        _write_array(archive, f"{prefix}static_offset", np.zeros((1, FLAME_VERTICES_WITH_TEETH, 3), np.float32))
    for name in slot.rows.dtype.names or ():
        dtype = slot.rows.dtype[name]
        chunks: Iterable[Array] = (chunk[name] for chunk in slot.rows.chunks())
        if name == "expr" and flame:
            dtype = np.dtype(("<f4", (max(FLAME_EXPRESSIONS, dtype.shape[0]),)))
            chunks = (_padded(chunk["expr"], FLAME_EXPRESSIONS) for chunk in slot.rows.chunks())
        elif name == "sigma":
            dtype = np.dtype(("<f2", dtype.shape))
        _write_column(archive, prefix + name, dtype, count, chunks)


def _padded(array: Array, size: int) -> Array:
    missing = size - array.shape[-1]
    return array if missing <= 0 else np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])


def _write_column(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], count: int, chunks: Iterable[Array]
) -> None:
    """Write an array of ``count`` rows of ``dtype`` (which may have a shape) that comes in pieces."""
    with _member(archive, name) as write:
        np.lib.format.write_array_header_1_0(_Writable(write), _npy_header(dtype.base, (count, *dtype.shape)))
        for chunk in chunks:
            write(np.ascontiguousarray(chunk, dtype.base).tobytes())


def _write_array(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    with _member(archive, name) as write:
        np.lib.format.write_array_header_1_0(_Writable(write), _npy_header(array.dtype, array.shape))
        write(np.ascontiguousarray(array).tobytes())


def _npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> dict[str, Any]:
    return {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[Callable[[bytes], object]]:
    # By name, zipfile uses the archive's level and a fixed date: the same take gives the same bytes.
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        yield file.write


class _Writable:
    """The part of a file that numpy's header writer needs."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write


def read_npz(path: Path, file: IO[bytes] | None = None) -> tuple[TakeHeader, dict[str, Array], dict[str, Any]]:
    """A finished take: its header, its arrays, and ``meta_json``. ``file`` is read in place of ``path`` when given.

    Raises:
        RecordingError: the file is missing, cut off, damaged, or no take of this version.
    """
    arrays = _load(path, file, None)
    meta, header = _read_meta(path, arrays["meta_json"])
    _check(path, arrays, meta, header)
    return header, arrays, meta


def check_take(path: Path, arrays: dict[str, Array], meta: dict[str, Any]) -> TakeHeader:
    """The header of a take whose arrays came from another kind of file. Raises RecordingError when they are not whole."""
    header = _read_meta(path, np.array(json.dumps(meta)))[1]
    _check(path, arrays, meta, header)
    return header


def read_npz_meta(path: Path) -> dict[str, Any]:
    """``meta_json`` alone, which costs the same for takes of any length. Raises RecordingError as ``read_npz``."""
    return _read_meta(path, _load(path, None, ("meta_json",))["meta_json"])[0]


def _load(path: Path, file: IO[bytes] | None, names: tuple[str, ...] | None) -> dict[str, Array]:
    try:
        if file is None and not zipfile.is_zipfile(path):
            # np.load would take other kinds of files too. A cut-off npz lacks the directory at its end.
            with path.open("rb") as opened:
                cut_off = opened.read(2) == b"PK"
            if cut_off:
                raise RecordingError(
                    f"{path} is not a whole take: it is cut off; record it again with `tracker process`"
                )
            raise RecordingError(
                f"{path} is not a take: it is neither .npz nor another format of takes; "
                "`tracker process VIDEO -o take.npz` makes one"
            )
        with np.load(path if file is None else file, allow_pickle=False) as archive:
            if "meta_json" not in archive.files:
                raise RecordingError(f"{path} is not a take: it is an .npz without 'meta_json'")
            return {name: archive[name] for name in names or archive.files}
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise RecordingError(f"{path} is damaged ({error}); record it again with `tracker process`") from error


def _read_meta(path: Path, array: Array) -> tuple[dict[str, Any], TakeHeader]:
    try:
        meta = json.loads(str(array))
        header = TakeHeader.from_record(meta)
        if not isinstance(meta["frames"], int) or not isinstance(meta["slots"], int):
            raise TypeError("frames and slots are not integers")
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(
            f"{path} is not a take of format {FORMAT} {VERSION}: its meta_json is unreadable ({error})"
        ) from error
    return meta, header


def _check(path: Path, arrays: dict[str, Array], meta: dict[str, Any], header: TakeHeader) -> None:
    count = meta["frames"]
    expressions, arkit = len(header.expression_names), len(ARKIT_NAMES)
    if header.is_flame:
        expressions = max(expressions, FLAME_EXPRESSIONS)
    per_frame: dict[str, tuple[int, ...]] = {"frame_index": (), "timestamps_ns": (), "t_unix_ns": ()}
    per_frame |= {"pts": (2,), "frame_size": (2,), "K": (3, 3)}
    per_slot: dict[str, tuple[int, ...]] = {
        "rotation": (3,), "translation": (3,), "rotation_camera": (3,), "translation_camera": (3,),
        "neck_pose": (3,), "jaw_pose": (3,), "eyes_pose": (6,), "eyelids": (2,), "expr": (expressions,),
        "arkit": (arkit,), "position": (3,), "quaternion": (4,), "gaze_left": (2,), "gaze_right": (2,), "bbox": (4,),
        "face_id": (), "tracked": (), "confidence": (), "age": (), "residual_px": (), "identity_row": (),
    }  # fmt: skip
    if header.regions is not None:
        per_slot |= {"light_sh": (3, 9), "light_white_balance": (3,), "light_exposure": ()}
        per_slot |= {"occlusion": (), "occlusion_regions": (len(header.regions),)}
        missing = [name for name in ALBEDO_KEYS if name not in arrays]
        if missing:
            raise RecordingError(f"{path} is not a whole take: '{missing[0]}' is missing")
    expected = dict(per_frame)
    for number in range(meta["slots"]):
        expected |= {slot_prefix(number) + name: shape for name, shape in per_slot.items()}
        expected |= _landmark_shapes(slot_prefix(number), arrays)
    for name, shape in expected.items():
        if name not in arrays:
            raise RecordingError(f"{path} is not a whole take: '{name}' is missing")
        if arrays[name].shape != (count, *shape):
            raise RecordingError(f"{path}: '{name}' must have shape {(count, *shape)}, got {arrays[name].shape}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RecordingError(f"{path}: '{name}' holds NaN or infinity, which takes never do; record it again")
    table = arrays.get("identity")
    if table is None or table.ndim != 2 or table.shape[1] != header.identity_count:
        raise RecordingError(f"{path}: 'identity' must have shape (versions, {header.identity_count})")
    versions = len(table)
    # Takes of earlier versions lack these.
    for name, wanted in (
        ("identity_sigma", table.shape), ("identity_confidence", (versions,)), ("identity_frozen", (versions,)),
        ("identity_keyframes", (versions,)),
    ):  # fmt: skip
        if name in arrays and arrays[name].shape != wanted:
            raise RecordingError(f"{path}: '{name}' must have shape {wanted}, got {arrays[name].shape}")


def _landmark_shapes(prefix: str, arrays: dict[str, Array]) -> dict[str, tuple[int, ...]]:
    """The shapes that what a slot says about landmarks must have, by the landmarks that it has."""
    landmarks = arrays.get(f"{prefix}landmarks")
    count = 0 if landmarks is None or landmarks.ndim != 3 else landmarks.shape[1]
    shapes: dict[str, tuple[int, ...]] = {"landmarks": (count, 3), "sigma": (count,), "visibility": (count,)}
    return {prefix + name: shape for name, shape in shapes.items() if prefix + name in arrays}
