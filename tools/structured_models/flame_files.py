"""Writes FLAME-structured files: the pickles of 2019, 2020, 2023 and 2023 Open, their npz form, and what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tools.structured_models.flame import FlameArrays, flame_arrays
from tools.structured_models.python2_pickle import Published, write_python2_pickle

Version = Literal["2019", "2020", "2023", "2023 Open"]
FILE_NAMES: Final[dict[Version, str]] = {
    "2019": "FLAME2019/generic_model.pkl",
    "2020": "FLAME2020/generic_model.pkl",
    "2023": "FLAME2023/flame2023.pkl",
    "2023 Open": "FLAME2023_Open/flame2023_Open.pkl",
}
"""How the downloads name them; the pickles themselves do not say which they are."""


def write_flame(
    folder: Path, version: Version = "2020", *, npz: bool = False, arrays: FlameArrays | None = None
) -> Path:
    """Write a FLAME-structured model below ``folder`` and return its path.

    The pickles of 2019 and 2020 hold chumpy objects, as theirs do; those of 2023 plain arrays. All hold a scipy matrix.
    """
    arrays = arrays or flame_arrays()
    path = folder / FILE_NAMES[version]
    path.parent.mkdir(parents=True, exist_ok=True)
    if npz:
        path = path.with_suffix(".npz")
        np.savez(path, **_common(arrays), J_regressor=arrays.j_regressor)  # type: ignore[arg-type]
        return path
    content: dict[str, object] = {**_common(arrays), "J_regressor": _csc_matrix(arrays.j_regressor)}
    if version in ("2019", "2020"):
        content["v_template"] = _chumpy(arrays.v_template)
        content["shapedirs"] = _chumpy(arrays.shapedirs)
        content["J"] = _chumpy(arrays.joints)
    write_python2_pickle(path, content)
    return path


def _common(arrays: FlameArrays) -> dict[str, object]:
    return {
        "v_template": arrays.v_template,
        "f": arrays.f,
        "shapedirs": arrays.shapedirs,
        "posedirs": arrays.posedirs,
        "weights": arrays.weights,
        "kintree_table": arrays.kintree_table.astype(np.uint32),
        "J": arrays.joints,
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def _chumpy(values: NDArray[np.float64]) -> Published:
    """The state that ``chumpy.ch.Ch.__getstate__`` leaves: the array under ``x`` and the caches' bookkeeping."""
    state: dict[str, object] = {
        "x": values,
        "_dirty_vars": set(),
        "_itr": None,
        "_depends_on_deps": {},
        "_cache_info": {},
    }
    return Published("chumpy.ch", "Ch", state)


def _csc_matrix(dense: NDArray[np.float64]) -> Published:
    """What scipy of that time pickled for ``scipy.sparse.csc.csc_matrix``."""
    columns, rows = np.nonzero(dense.T)
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=dense.shape[1]))])
    state: dict[str, object] = {
        "_shape": dense.shape,
        "maxprint": 50,
        "data": dense[rows, columns],
        "indices": rows.astype(np.int32),
        "indptr": starts.astype(np.int32),
    }
    return Published("scipy.sparse.csc", "csc_matrix", state)
