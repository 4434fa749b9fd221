"""Writing face models in the neutral npz format (docs/models.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.cache import atomic_target
from tracker.errors import FaceModelError
from tracker.face_model.mapped_npz import read_arrays, write_arrays
from tracker.face_model.model import JOINT_NAMES, FaceModel
from tracker.face_model.store import FORMAT

_META = "meta_json"


def write_face_model(path: Path, model: FaceModel) -> str:
    """Write a face model so that ``read_face_model`` gives it back, in float32: it is complete or not there.

    Returns:
        The digest of its content, which the model carries as ``sha256`` when it is read.

    Raises:
        FaceModelError: a number is not finite, or the file cannot be written.
    """
    arrays = _arrays(model)
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FaceModelError(f"'{key}' of {model.name} contains numbers that are not finite; nothing was written")
    digest = content_sha256(arrays)
    meta = {
        **model.meta,
        "name": model.name,
        "version": model.version,
        "licence": model.licence,
        "attribution": model.attribution,
        "content_sha256": digest,
    }
    arrays[_META] = np.array(json.dumps(meta, ensure_ascii=False, sort_keys=True))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_target(path) as partial:
            write_arrays(partial, arrays)
    except OSError as error:
        raise FaceModelError(f"cannot write {path}: {error.strerror or error}") from error
    return digest


def content_sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Digest of names, types, shapes and numbers of a model's arrays, without its meta data."""
    digest = hashlib.sha256()
    for key in sorted(arrays.keys() - {_META}):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.view(np.uint8).data if array.size and array.ndim else array.tobytes())
    return digest.hexdigest()


def is_undamaged(path: Path) -> bool:
    """Whether a model file still has the content it was written with; True where the file does not say.

    Raises:
        ValueError, OSError, EOFError, zipfile.BadZipFile: it cannot be read at all.
    """
    arrays, _ = read_arrays(path)
    meta = json.loads(str(arrays[_META])) if _META in arrays else {}
    return "content_sha256" not in meta or meta["content_sha256"] == content_sha256(arrays)


def _arrays(model: FaceModel) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "template": model.template,
        "faces": model.faces,
        "identity_basis": model.identity_basis,
        "expression_basis": model.expression_basis,
        "expression_names": np.array(model.expression_names, dtype=np.str_),
        "expression_bounds": model.expression_bounds,
        "joint_names": np.array(JOINT_NAMES),
        "joint_template": model.joint_template,
        "joint_identity": model.joint_identity,
        "skin_weights": model.skin_weights,
        "joint_drive": model.joint_drive,
        "mirror": model.mirror,
        "skin_mask": model.skin_mask,
        "uv": model.uv,
        "uv_faces": model.uv_faces,
        "vertex_parts": model.parts,
        "part_names": np.array(model.part_names, dtype=np.str_),
        "regions": model.regions,
        "region_names": np.array(model.region_names, dtype=np.str_),
        "source_origin": model.source_origin,
    }
    optional = {
        "joint_expression": model.joint_expression,
        "pose_correctives": model.pose_correctives,
        "arkit_map": model.arkit_map,
        "arkit_explained": model.arkit_explained,
        "albedo_mean": model.albedo_mean,
        "albedo_basis": model.albedo_basis,
    }
    arrays.update({key: array for key, array in optional.items() if array is not None})
    for name, embedding in model.embeddings.items():
        arrays[f"embedding_{name}_faces"] = embedding.faces
        arrays[f"embedding_{name}_barycentric"] = embedding.barycentric
        arrays[f"embedding_{name}_weight"] = embedding.weight
        if embedding.uncertainty_m > 0.0:
            arrays[f"embedding_{name}_uncertainty_m"] = np.array(embedding.uncertainty_m, np.float32)
    return {
        key: array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array for key, array in arrays.items()
    }
