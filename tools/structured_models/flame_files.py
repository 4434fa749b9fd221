"""Writes FLAME-structured files: the pickles of 2019, 2020, 2023 and 2023 Open, their npz form, and what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tools.build_head.surface import closest_on_mesh
from tools.structured_models.flame import ORIGIN, FlameArrays, flame_arrays
from tools.structured_models.python2_pickle import Published, write_python2_pickle
from tracker.face_model import load_face_model
from tracker.face_model.importing.flame_landmarks import DYNAMIC_FILE, MEDIAPIPE_FILE, STATIC_FILE

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


def write_flame_landmarks(folder: Path, arrays: FlameArrays | None = None) -> None:
    """Write the embeddings that are handed out beside FLAME: 51 + 17 points of ibug68, and 105 of MediaPipe's.

    The contour's 79 rows are the same: the built-in head has one contour, not one for each turn of the head.
    """
    arrays = arrays or flame_arrays()
    head = load_face_model()
    triangles = arrays.f.astype(np.int32)

    def lay(set_name: str, points: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        targets = head.landmarks(head.template, set_name)[points].astype(np.float64) + ORIGIN
        return closest_on_mesh(targets, arrays.v_template, triangles, np.ones(len(triangles), np.bool_))

    faces, shares = lay("ibug68", np.arange(68))
    static: dict[str, object] = {"lmk_face_idx": faces[17:].astype(np.uint32), "lmk_b_coords": shares[17:]}
    write_python2_pickle(folder / STATIC_FILE, static)
    contour = {"lmk_face_idx": [faces[:17]] * 79, "lmk_b_coords": [shares[:17]] * 79}
    np.save(folder / DYNAMIC_FILE, np.array(contour, dtype=object), allow_pickle=True)
    chosen = np.sort(np.random.default_rng(0).permutation(468)[:105])
    faces, shares = lay("mediapipe478", chosen)
    np.savez(folder / MEDIAPIPE_FILE, lmk_face_idx=faces, lmk_b_coords=shares, landmark_indices=chosen)
