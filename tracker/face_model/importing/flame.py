"""FLAME (Li, Bolkart, Black, Li and Romero 2017): the releases of 2019, 2020, 2023 and 2023 Open, as ``.pkl`` and ``.npz``.

All have 5023 vertices, five joints (the whole head, neck, jaw, left and right eye) and 300 + 100 components, and none says in
its content which release it is: the file's name or its folder's does. FLAME regresses its joints from the shaped mesh with its
expression; both parts of that linear map are folded into joint positions here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.cache import sha256_of
from tracker.errors import FaceModelError
from tracker.face_model.importing.flame_landmarks import read_flame_landmarks
from tracker.face_model.importing.pickles import read_pickle
from tracker.face_model.importing.source_model import SourceModel

VERTEX_COUNT: Final = 5023
SHAPE_COUNT: Final = 300
JOINT_COUNT: Final = 5
_PARENTS: Final = (-1, 0, 1, 1, 1)
_KEYS: Final = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
_EXPRESSION_BOUND: Final = 4.0
"""Coefficients are in standard deviations; what lies beyond four is no face."""
_BODY_VERTICES: Final = {6890: "SMPL", 10475: "SMPL-X", 778: "MANO", 6449: "STAR"}
_LICENCES: Final = {
    "2019": "FLAME model licence, non-commercial research only: https://flame.is.tue.mpg.de/modellicense.html",
    "2020": "FLAME model licence, non-commercial research only: https://flame.is.tue.mpg.de/modellicense.html",
    "2023": "FLAME model licence, non-commercial research only: https://flame.is.tue.mpg.de/modellicense.html",
    "2023 Open": "CC-BY-4.0: https://flame.is.tue.mpg.de",
    "": "FLAME's licence, which depends on the release: https://flame.is.tue.mpg.de",
}
_ATTRIBUTION: Final = (
    "T. Li, T. Bolkart, M. J. Black, H. Li, J. Romero: Learning a model of facial shape and expression from 4D scans, "
    "SIGGRAPH Asia 2017"
)


def is_flame(content: object) -> bool:
    """Whether a pickle's or npz's content has FLAME's (or SMPL's) keys."""
    return isinstance(content, Mapping) and {"v_template", "f", "shapedirs", "J_regressor"} <= set(content)


def read_flame(path: Path, content: Mapping[str, Any] | None = None) -> SourceModel:
    """Read a FLAME file, and the landmark embeddings that lie beside it.

    Args:
        path: ``generic_model.pkl``, ``flame2023.pkl`` or an ``.npz`` with the same keys.
        content: what is in it, if it has been read already.

    Raises:
        FaceModelError: it is another model, damaged, or its arrays do not fit together.
    """
    if content is None:
        loaded = read_pickle(path)
        content = loaded if isinstance(loaded, Mapping) else {}
    arrays = _arrays(path, content)
    template = arrays["v_template"]
    count = template.shape[0] if template.ndim == 2 else 0
    if count != VERTEX_COUNT:
        body = _BODY_VERTICES.get(count)
        raise FaceModelError(
            f"{path} is {body}, a body model; expected a head: FLAME has {VERTEX_COUNT} vertices"
            if body
            else f"{path}: expected FLAME's {VERTEX_COUNT} vertices, found {count}"
        )
    _check_shapes(path, arrays)
    shapedirs, regressor = arrays["shapedirs"], arrays["J_regressor"]
    components = shapedirs.shape[2]
    shapes = SHAPE_COUNT if components > SHAPE_COUNT else components // 2
    joints_of = np.tensordot(regressor, shapedirs, axes=1)
    expressions = components - shapes
    version, kinds = _version(path), _kinds(path)
    embeddings, notes = read_flame_landmarks(path.parent, len(arrays["f"]))
    if components < 400:
        notes.append(f"the file has {shapes} + {expressions} components where the full model has 300 + 100")
    return SourceModel(
        name="flame" + version.replace(" ", "").lower() + "".join(f"-{kind}" for kind in kinds),
        family="flame",
        version=", ".join([version or "unknown (the file's name does not say)", *kinds]),
        licence=_LICENCES[version],
        source=str(path),
        sha256=sha256_of(path),
        template=template.astype(np.float32),
        faces=arrays["f"].astype(np.int32),
        identity_basis=np.ascontiguousarray(shapedirs[:, :, :shapes], np.float32),
        expression_basis=np.ascontiguousarray(shapedirs[:, :, shapes:], np.float32),
        expression_names=tuple(f"expression{index:03d}" for index in range(expressions)),
        expression_bounds=np.tile(np.array([-_EXPRESSION_BOUND, _EXPRESSION_BOUND], np.float32), (expressions, 1)),
        joint_template=(regressor @ template).astype(np.float32),
        joint_identity=joints_of[:, :, :shapes].astype(np.float32),
        joint_expression=joints_of[:, :, shapes:].astype(np.float32),
        skin_weights=arrays["weights"].astype(np.float32),
        pose_correctives=arrays["posedirs"].astype(np.float32),
        embeddings=embeddings,
        attribution=_ATTRIBUTION,
        notes=tuple(notes),
    )


def _arrays(path: Path, content: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    missing = [key for key in _KEYS if key not in content]
    if missing:
        found = ", ".join(str(key) for key in list(content)[:8]) or "nothing of that kind"
        raise FaceModelError(f"{path} is not FLAME: expected {', '.join(missing)}, found {found}")
    arrays: dict[str, NDArray[Any]] = {}
    for key in _KEYS:
        value = content[key]
        array = np.asarray(value) if not isinstance(value, list | dict) else np.asarray(None)
        if array.dtype.kind not in "iuf":
            raise FaceModelError(f"{path}: expected numbers under '{key}', found {type(value).__name__}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FaceModelError(f"{path}: '{key}' contains numbers that are not finite; fetch the file again")
        arrays[key] = array.astype(np.float64) if array.dtype.kind == "f" else array
    return arrays


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    v, j = VERTEX_COUNT, JOINT_COUNT
    shapedirs = arrays["shapedirs"]
    components = shapedirs.shape[2] if shapedirs.ndim == 3 else 0
    faces = arrays["f"]
    expected: dict[str, tuple[int, ...]] = {
        "v_template": (v, 3),
        "f": (faces.shape[0] if faces.ndim else 0, 3),
        "shapedirs": (v, 3, max(components, 2)),
        "posedirs": (v, 3, 9 * (j - 1)),
        "J_regressor": (j, v),
        "weights": (v, j),
        "kintree_table": (2, j),
    }
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise FaceModelError(f"{path}: expected '{key}' of shape {shape}, got {arrays[key].shape}")
    if (
        faces.dtype.kind == "f"
        or faces.astype(np.int64).min(initial=0) < 0
        or faces.astype(np.int64).max(initial=0) >= v
    ):
        raise FaceModelError(f"{path}: triangles refer to vertices outside 0..{v - 1}; fetch the file again")
    # The root's parent is written as -1, as 2^32 - 1 or as that in 64 bits.
    parents = tuple(int(p) for p in arrays["kintree_table"][0].astype(np.int64).astype(np.int32))
    if parents != _PARENTS:
        raise FaceModelError(f"{path}: expected joints whose parents are {_PARENTS}, found {parents}")


def _version(path: Path) -> str:
    named = " ".join([path.parent.name, path.stem]).lower()
    if "2023" in named:
        return "2023 Open" if re.search(r"open|cc.?by", named) else "2023"
    for year in ("2020", "2019"):
        if year in named:
            return year
    return ""


def _kinds(path: Path) -> list[str]:
    """What the file's name says beside the release: a sex, or that the jaw is left to the expressions."""
    stem = path.stem.lower()
    sex = ["female"] if "female" in stem else ["male"] if "male" in stem else []
    return sex + (["nojaw"] if re.search(r"no.?jaw", stem) else [])
