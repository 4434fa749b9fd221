"""Takes as Parquet, for DuckDB, pandas, Polars and Spark: one row a frame, the columns of the ``.npz``.

Weights with names are structs (``SELECT arkit.jawOpen FROM 'take.parquet'``), other arrays lists of fixed size in the order
that numpy has them. What is not per frame is in the file's key-value metadata: ``meta_json`` and ``arrays_json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.extras import require

MAGIC: Final = b"PAR1"
_PURPOSE: Final = "a .parquet take"
_ROWS_PER_GROUP: Final = 8192
_SLOT: Final = re.compile(r"slot\d+_")
_NAMED: Final = {"arkit": ARKIT_NAMES, "raw_arkit": ARKIT_NAMES}
_PER_TAKE: Final = (
    "meta_json", "image_size", "focal_length", "n_processed_frames", "arkit_names", "expression_names", "world_to_camera",
    "shape", "static_offset",
)  # fmt: skip
_NAMES_IN_META: Final = ("expr", "raw_expr")

Array = NDArray[Any]


def check_package() -> None:
    """Raise RecordingError when the package that Parquet needs is not there."""
    require("pyarrow", "parquet", _PURPOSE)


def write_parquet_to(file: IO[bytes], arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write the arrays and ``meta_json`` of a take (see ``Take``) into an open file.

    Raises:
        RecordingError: the package ``pyarrow`` is not installed.
        OSError: there is no room.
    """
    arrow = require("pyarrow", "parquet", _PURPOSE)
    parquet = require("pyarrow.parquet", "parquet", _PURPOSE)
    frames = int(meta["frames"])
    rows = {name: array for name, array in arrays.items() if _is_per_frame(name, array, frames)}
    names = tuple(meta["model"]["expression_names"])
    columns = {name: _column(arrow, array, _names_of(name, array, names)) for name, array in rows.items()}
    rest = {name: _to_json(array) for name, array in arrays.items() if name not in rows and name != "meta_json"}
    shapes = {name: [array.dtype.str, list(array.shape[1:])] for name, array in rows.items()}
    table = arrow.table(columns).replace_schema_metadata(
        {
            "meta_json": json.dumps(dict(meta)),
            "arrays_json": json.dumps(rest),
            "columns_json": json.dumps(shapes),
        }
    )
    parquet.write_table(
        table, file, compression="zstd", row_group_size=_ROWS_PER_GROUP, write_page_checksum=True, use_dictionary=False
    )


def _is_per_frame(name: str, array: Array, frames: int) -> bool:
    """Whether an array has a row for each frame. Its name decides: other tables may happen to be as long."""
    base = _SLOT.sub("", name)
    if base in _PER_TAKE or (base.startswith(("identity", "albedo")) and base != "identity_row"):
        return False
    return array.shape[:1] == (frames,)


def _names_of(name: str, array: Array, expressions: Sequence[str]) -> Sequence[str] | None:
    base = _SLOT.sub("", name)
    if base in _NAMED:
        return _NAMED[base]
    if base in _NAMES_IN_META and array.shape[1] == len(expressions) and len(set(expressions)) == len(expressions):
        return expressions
    return None


def _column(arrow: Any, array: Array, names: Sequence[str] | None) -> Any:
    if names is not None:
        fields = [arrow.array(np.ascontiguousarray(array[:, index])) for index in range(array.shape[1])]
        return arrow.StructArray.from_arrays(fields, names=list(names))
    flat = arrow.array(
        array.reshape(-1).tolist() if array.dtype.kind == "U" else np.ascontiguousarray(array).reshape(-1)
    )
    if array.ndim == 1:
        return flat
    return arrow.FixedSizeListArray.from_arrays(flat, int(np.prod(array.shape[1:])))


def _to_json(array: Array) -> dict[str, Any]:
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def _from_json(value: Mapping[str, Any]) -> Array:
    return np.array(value["values"], np.dtype(value["dtype"])).reshape([int(size) for size in value["shape"]])


def read_parquet(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays of a ``.parquet`` take, as its ``.npz`` has them, and its ``meta_json``.

    Raises:
        RecordingError: the file cannot be read, is damaged or no take, or the package ``pyarrow`` is not installed.
    """
    parquet = require("pyarrow.parquet", "parquet", _PURPOSE)
    try:
        with path.open("rb") as file:
            table = parquet.read_table(file, page_checksum_verification=True)
        meta, rest, shapes = _metadata(path, table.schema.metadata)
        arrays = {name: _from_json(value) for name, value in rest.items()}
        for name, (dtype, shape) in shapes.items():
            arrays[name] = _values(table.column(name).combine_chunks(), np.dtype(dtype), shape)
        arrays["meta_json"] = np.array(json.dumps(meta))
        return arrays, meta
    except RecordingError:
        raise
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        # pyarrow says of damaged files that they cannot be read, by way of OSError or ArrowInvalid, a ValueError.
        raise RecordingError(f"{path} is damaged ({' '.join(str(error).split())}); expected a take") from error


def _values(column: Any, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    if hasattr(column, "chunks"):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if str(column.type).startswith("struct"):
        # Not ``field``: a struct that was sliced must give its own rows only.
        parts = [child.to_numpy(zero_copy_only=False) for child in column.flatten()]
        values = np.stack(parts, axis=1) if parts else np.zeros((len(column), 0))
    elif shape:
        values = column.flatten().to_numpy(zero_copy_only=False)
    else:
        values = column.to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values.astype(dtype)).reshape(len(column), *shape)


def read_parquet_meta(path: Path) -> dict[str, Any]:
    """``meta_json`` alone. Raises RecordingError as ``read_parquet``."""
    parquet = require("pyarrow.parquet", "parquet", _PURPOSE)
    try:
        with path.open("rb") as file:
            return _metadata(path, parquet.read_schema(file).metadata)[0]
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} is not a take ({' '.join(str(error).split())})") from error


def _metadata(
    path: Path, entries: Mapping[bytes, bytes] | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    keys = (b"meta_json", b"arrays_json", b"columns_json")
    if entries is None or any(key not in entries for key in keys):
        raise RecordingError(f"{path} is not a take: it is a .parquet file without 'meta_json'")
    meta, rest, shapes = (json.loads(entries[key]) for key in keys)
    if not all(isinstance(value, dict) for value in (meta, rest, shapes)):
        raise RecordingError(f"{path} is not a take: its 'meta_json' is unreadable")
    return meta, rest, shapes
