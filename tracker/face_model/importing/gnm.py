"""GNM Head (Google 2026, Apache-2.0): ``gnm_head.npz``, version 3.

Four joints, neck, head, left and right eye; the mouth opens by expressions, not by a joint. Its neck is the root of the
chain and moves everything, which is our head pose; its head joint turns the head on the neck, which is our neck.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.cache import sha256_of
from tracker.errors import FaceModelError
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, NECK, ROOT

Float32 = NDArray[np.float32]

KEYS: Final = (
    "template_vertex_positions", "triangles", "vertex_identity_basis", "expression_basis", "template_joint_positions",
    "joint_identity_basis", "skinning_weights", "joint_names", "expression_names",
)  # fmt: skip
_JOINTS: Final = {"neck": ROOT, "head": NECK, "left_eye": EYE_LEFT, "right_eye": EYE_RIGHT}
_EXPRESSION_BOUND: Final = 4.0
_PART_OF_GROUP: Final = {
    "left_eye": "eye_left", "right_eye": "eye_right", "upper_teeth_and_gums": "teeth", "lower_teeth_and_gums": "teeth",
    "upper_teeth": "teeth", "lower_teeth": "teeth", "tongue": "tongue",
}  # fmt: skip
_PART_NAMES: Final = ("skin", "eye_left", "eye_right", "teeth", "tongue")


def is_gnm(keys: object) -> bool:
    """Whether an npz with these keys is a GNM head."""
    return isinstance(keys, list | tuple | set | Mapping) and {
        "template_vertex_positions",
        "vertex_identity_basis",
    } <= set(keys)


def read_gnm(path: Path, content: Mapping[str, NDArray[Any]]) -> SourceModel:
    """Turn the arrays of a GNM npz into a source model.

    Raises:
        FaceModelError: keys are missing or arrays do not fit together.
    """
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise FaceModelError(f"{path}: a GNM head needs {', '.join(missing)}; fetch the file again")
    joint_names = [str(name) for name in content["joint_names"]]
    if set(joint_names) != set(_JOINTS):
        raise FaceModelError(f"{path}: expected GNM's joints {', '.join(_JOINTS)}, found {', '.join(joint_names)}")
    template = np.asarray(content["template_vertex_positions"], np.float32)
    count = template.shape[0]
    identity = _last(path, content, "vertex_identity_basis", count)
    expression = _last(path, content, "expression_basis", count)
    positions, moved = content["template_joint_positions"], content["joint_identity_basis"]
    weights = content["skinning_weights"]
    if positions.shape != (4, 3) or moved.shape != (identity.shape[2], 4, 3) or weights.shape != (4, count):
        raise FaceModelError(
            f"{path}: expected 4 joints of {identity.shape[2]} components and {count} vertices, got {positions.shape}, "
            f"{moved.shape} and {weights.shape}"
        )
    joint_template, joint_identity = np.zeros((5, 3), np.float32), np.zeros((5, 3, identity.shape[2]), np.float32)
    skin = np.zeros((count, 5), np.float32)
    for index, name in enumerate(joint_names):
        joint = _JOINTS[name]
        joint_template[joint], joint_identity[joint] = positions[index], moved[:, index].T
        skin[:, joint] = weights[index]
    # No jaw joint: ours lies where the head turns and carries nothing.
    joint_template[JAW], joint_identity[JAW] = joint_template[NECK], joint_identity[NECK]
    notes = ["no jaw joint: the mouth opens by expressions"]
    correctives = _correctives(path, content, joint_names, count, notes)
    parts = _parts(content, count, notes)
    names = tuple(str(name) for name in content["expression_names"])
    bounds = np.tile(np.array([-_EXPRESSION_BOUND, _EXPRESSION_BOUND], np.float32), (expression.shape[2], 1))
    version = str(content["version"]) if "version" in content else "3"
    uv, uv_faces = _uv(content)
    mirror = content.get("mirror_indices")
    return SourceModel(
        name="gnm" + version.partition(".")[0],
        family="gnm",
        version=version,
        licence="Apache-2.0: https://github.com/google/GNM",
        source=str(path),
        sha256=sha256_of(path),
        template=template,
        faces=np.asarray(content["triangles"]).astype(np.int32),
        identity_basis=identity,
        expression_basis=expression,
        expression_names=names,
        expression_bounds=bounds,
        joint_template=joint_template,
        joint_identity=joint_identity,
        skin_weights=skin,
        pose_correctives=correctives,
        uv=uv,
        uv_faces=uv_faces,
        mirror=None if mirror is None or mirror.shape != (count,) else mirror.astype(np.int32),
        parts=parts,
        part_names=() if parts is None else _PART_NAMES,
        attribution="GNM Head: a Generative aNthropometric Model of the human head, 2026, arXiv:2607.23687",
        notes=tuple(notes),
    )


def _last(path: Path, content: Mapping[str, NDArray[Any]], key: str, count: int) -> Float32:
    """(N, V, 3) -> (V, 3, N)."""
    basis = np.asarray(content[key], np.float32)
    if basis.ndim != 3 or basis.shape[1:] != (count, 3):
        raise FaceModelError(f"{path}: expected '{key}' of shape (N, {count}, 3), got {basis.shape}")
    return np.ascontiguousarray(np.moveaxis(basis, 0, 2))


def _uv(content: Mapping[str, NDArray[Any]]) -> tuple[Float32 | None, NDArray[np.int32] | None]:
    corners = content.get("triangle_uvs")
    if corners is None or corners.shape != (len(content["triangles"]), 3, 2):
        return None, None
    uv, numbers = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    return uv.astype(np.float32), numbers.reshape(-1, 3).astype(np.int32)


def _correctives(
    path: Path, content: Mapping[str, NDArray[Any]], joint_names: list[str], count: int, notes: list[str]
) -> Float32 | None:
    """(36, 3V) per entry of R - I of GNM's joints -> (V, 3, 36) of ours."""
    regressor = content.get("pose_correctives_regressor")
    if regressor is None or not np.any(regressor):
        return None
    if regressor.shape != (9 * len(joint_names), 3 * count):
        raise FaceModelError(
            f"{path}: expected 'pose_correctives_regressor' of shape {(9 * len(joint_names), 3 * count)}, got {regressor.shape}"
        )
    per_joint = np.asarray(regressor, np.float32).reshape(len(joint_names), 9, count, 3)
    correctives = np.zeros((count, 3, 4, 9), np.float32)
    for index, name in enumerate(joint_names):
        joint = _JOINTS[name]
        if joint != ROOT:
            correctives[:, :, joint - NECK] = np.moveaxis(per_joint[index], 0, 2)
        elif np.any(per_joint[index]):
            notes.append("correctives of the neck's root joint are not used: its turns are the head pose here")
    return correctives.reshape(count, 3, 36)


def _parts(content: Mapping[str, NDArray[Any]], count: int, notes: list[str]) -> NDArray[np.int8] | None:
    groups, names = content.get("vertex_groups"), content.get("vertex_group_names")
    if groups is None or names is None or groups.shape != (len(names), count):
        notes.append("no vertex groups: eyes, teeth and tongue are told apart by the completion")
        return None
    parts = np.zeros(count, np.int8)
    for row, name in zip(groups, names, strict=True):
        if str(name) in _PART_OF_GROUP:
            parts[row > 0.5] = _PART_NAMES.index(_PART_OF_GROUP[str(name)])
    return parts
