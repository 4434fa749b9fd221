"""Reading face models from the neutral npz format (docs/models.md)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.cache import sha256_of
from tracker.errors import FaceModelError
from tracker.face_model.mapped_npz import read_arrays
from tracker.face_model.model import CONTROL_NAMES, JOINT_NAMES, Embedding, FaceModel

FORMAT = 1
BUILTIN_NAME = "builtin"
_EMBEDDING_PREFIX = "embedding_"
_REQUIRED = (
    "template", "faces", "identity_basis", "expression_basis", "expression_names", "expression_bounds", "joint_names",
    "joint_template", "joint_identity", "skin_weights", "joint_drive", "mirror", "skin_mask", "uv", "uv_faces",
    "vertex_parts", "part_names", "regions", "region_names",
)  # fmt: skip


def builtin_path() -> Path:
    """Where the head that ships with the package lies."""
    return Path(str(resources.files("tracker.face_model") / "data" / "builtin_head.npz"))


def load_face_model(name_or_path: str = BUILTIN_NAME) -> FaceModel:
    """Load a face model by name (``builtin`` or one of the user's library) or from an npz file.

    Raises:
        FaceModelError: there is no such model, or the file is not a face model in the neutral format.
    """
    if name_or_path == BUILTIN_NAME:
        return _builtin()
    from tracker.face_model.importing.library import find_face_model

    return read_face_model(find_face_model(name_or_path))


def load_named_model(name: str, sha256: str) -> FaceModel:
    """The face model that a take or a stream names: the one with these contents, else one of this name.

    Callers that need the very same contents compare ``sha256`` with the model's.

    Raises:
        FaceModelError: neither is among the built-in and the imported models.
    """
    from tracker.face_model.importing.library import imported_names

    known = [BUILTIN_NAME, *imported_names()]
    namesake: FaceModel | None = None
    for candidate in sorted(known, key=lambda known_name: known_name != name):
        model = load_face_model(candidate)
        if model.sha256 == sha256:
            return model
        if namesake is None and name in (candidate, model.name):
            namesake = model
    if namesake is None:
        raise FaceModelError(
            f"the face model '{name}' (sha256 {sha256[:8]}) is not here: there are {', '.join(known)}; "
            "import it with `tracker models import` or name its file with --face-model"
        )
    return namesake


def load_told_model(told: Mapping[str, Any], chosen: str | None = None) -> FaceModel:
    """The model to read a take or a stream with: the one that was chosen, else the one that it tells of itself.

    Args:
        told: ``name`` and ``sha256`` of the model, as takes and schemas have them.
        chosen: a name or path for ``load_face_model``, where the user gave one.

    Raises:
        FaceModelError: there is no such model here.
    """
    return load_named_model(told["name"], told["sha256"]) if chosen is None else load_face_model(chosen)


@cache
def _builtin() -> FaceModel:
    # Tracker, publisher and test source of one process share it: 17 MB each would add up.
    return read_face_model(builtin_path())


def read_face_model(path: Path) -> FaceModel:
    """Read one npz file in the neutral format.

    Raises:
        FaceModelError: the file is missing, damaged, of another format, or its arrays do not fit together.
    """
    try:
        arrays, mapped = read_arrays(path)
        meta = json.loads(str(arrays["meta_json"])) if "meta_json" in arrays else {}
        # The digest of a large file would cost the start more than everything else: its writer has noted it.
        sha256 = str(meta["content_sha256"]) if "content_sha256" in meta else sha256_of(path)
    except FileNotFoundError as error:
        raise FaceModelError(
            f"cannot read face model {path}: {error.strerror}; give '{BUILTIN_NAME}' or a model .npz"
        ) from error
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise FaceModelError(f"{path} is not a face model: expected an .npz without pickles ({reason})") from error
    if "format" not in arrays or int(arrays["format"]) != FORMAT:
        found = int(arrays["format"]) if "format" in arrays else "none"
        raise FaceModelError(f"{path}: expected face model format {FORMAT}, found {found}")
    missing = [key for key in _REQUIRED if key not in arrays]
    if missing:
        raise FaceModelError(f"{path}: a face model needs {', '.join(missing)}")
    model = _assemble(arrays, meta, sha256)
    # What is mapped was found finite when it was written; looking again would read all of it.
    checked = arrays.keys() - mapped if "content_sha256" in meta else arrays.keys()
    _check(model, {key: arrays[key] for key in checked | {"joint_names"}}, path)
    return model


def _assemble(arrays: dict[str, NDArray[Any]], meta: dict[str, Any], sha256: str) -> FaceModel:
    f32 = {key: value.astype(np.float32, copy=False) for key, value in arrays.items() if value.dtype.kind == "f"}
    names = [key[len(_EMBEDDING_PREFIX) : -len("_faces")] for key in arrays if _is_embedding(key)]
    embeddings = {
        name: Embedding(
            arrays[f"{_EMBEDDING_PREFIX}{name}_faces"].astype(np.int32),
            f32[f"{_EMBEDDING_PREFIX}{name}_barycentric"],
            f32[f"{_EMBEDDING_PREFIX}{name}_weight"],
            float(f32.get(f"{_EMBEDDING_PREFIX}{name}_uncertainty_m", np.float32(0.0))),
        )
        for name in names
    }
    return FaceModel(
        name=str(meta.get("name", "unnamed")),
        version=str(meta.get("version", "")),
        licence=str(meta.get("licence", "")),
        sha256=sha256,
        template=f32["template"],
        faces=arrays["faces"].astype(np.int32),
        identity_basis=f32["identity_basis"],
        expression_basis=f32["expression_basis"],
        expression_names=tuple(str(name) for name in arrays["expression_names"]),
        expression_bounds=f32["expression_bounds"],
        joint_template=f32["joint_template"],
        joint_identity=f32["joint_identity"],
        skin_weights=f32["skin_weights"],
        joint_drive=f32["joint_drive"],
        mirror=arrays["mirror"].astype(np.int32),
        skin_mask=f32["skin_mask"],
        uv=f32["uv"],
        uv_faces=arrays["uv_faces"].astype(np.int32),
        parts=arrays["vertex_parts"].astype(np.int8),
        part_names=tuple(str(name) for name in arrays["part_names"]),
        regions=arrays["regions"].astype(np.bool_),
        region_names=tuple(str(name) for name in arrays["region_names"]),
        embeddings=embeddings,
        joint_expression=f32.get("joint_expression"),
        arkit_map=f32.get("arkit_map"),
        arkit_explained=f32.get("arkit_explained"),
        source_origin=f32.get("source_origin", np.zeros(3, np.float32)),
        pose_correctives=f32.get("pose_correctives"),
        albedo_mean=f32.get("albedo_mean"),
        albedo_basis=f32.get("albedo_basis"),
        attribution=str(meta.get("attribution", "")),
        meta={key: str(value) for key, value in meta.items()},
    )


def _is_embedding(key: str) -> bool:
    return key.startswith(_EMBEDDING_PREFIX) and key.endswith("_faces")


def _check(model: FaceModel, arrays: dict[str, NDArray[Any]], path: Path) -> None:
    v, ni, ne, j = model.vertex_count, model.identity_count, model.expression_count, len(JOINT_NAMES)
    joint_names = tuple(str(name) for name in arrays["joint_names"])
    if joint_names != JOINT_NAMES:
        raise FaceModelError(f"{path}: expected joints {', '.join(JOINT_NAMES)}, found {', '.join(joint_names)}")
    expected = {
        "template": (model.template.shape, (v, 3)),
        "identity_basis": (model.identity_basis.shape, (v, 3, ni)),
        "expression_basis": (model.expression_basis.shape, (v, 3, ne)),
        "expression_names": ((len(model.expression_names),), (ne,)),
        "expression_bounds": (model.expression_bounds.shape, (ne, 2)),
        "joint_template": (model.joint_template.shape, (j, 3)),
        "joint_identity": (model.joint_identity.shape, (j, 3, ni)),
        "skin_weights": (model.skin_weights.shape, (v, j)),
        "joint_drive": (model.joint_drive.shape, (ne, j, 3)),
        "mirror": (model.mirror.shape, (v,)),
        "skin_mask": (model.skin_mask.shape, (v,)),
    }
    if model.joint_expression is not None:
        expected["joint_expression"] = (model.joint_expression.shape, (j, 3, ne))
    if model.pose_correctives is not None:
        expected["pose_correctives"] = (model.pose_correctives.shape, (v, 3, 36))
    if model.albedo_mean is not None:
        expected["albedo_mean"] = (model.albedo_mean.shape, (v, 3))
    if model.albedo_basis is not None:
        expected["albedo_basis"] = (model.albedo_basis.shape, (v, 3, model.albedo_basis.shape[-1]))
    if model.arkit_map is not None:
        expected["arkit_map"] = (model.arkit_map.shape, (ne, len(ARKIT_NAMES)))
    if model.arkit_explained is not None:
        expected["arkit_explained"] = (model.arkit_explained.shape, (len(ARKIT_NAMES),))
    expected["source_origin"] = (model.source_origin.shape, (3,))
    for key, (found, wanted) in expected.items():
        if found != wanted:
            raise FaceModelError(f"{path}: '{key}' must have shape {wanted}, got {found}")
    misplaced = sorted(set(model.published_names) & set(CONTROL_NAMES))
    if misplaced:
        raise FaceModelError(f"{path}: '{misplaced[0]}' controls a joint or lid and must come after all expressions")
    for key, value in arrays.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise FaceModelError(f"{path}: '{key}' contains numbers that are not finite")
    if model.faces.min(initial=0) < 0 or model.faces.max(initial=0) >= v:
        raise FaceModelError(f"{path}: 'faces' refers to vertices outside 0..{v - 1}")
