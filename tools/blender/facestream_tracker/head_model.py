"""A head for Blender from a face model file (docs/models.md of the tracker): a mesh, and each expression as displacements.

Shape keys are linear, the model's jaw and eyes turn. A key is exact where it alone is at 1; in between and in mixtures the
points lie on the chord instead of the arc.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .axes import BLENDER_FROM_HEAD, matrix_from_rotvec

Float32 = NDArray[np.float32]

BUNDLED = Path(__file__).parent / "assets" / "builtin_head.npz"
_JAW, _EYES = 2, (3, 4)
_KEYS = (
    "template", "faces", "identity_basis", "expression_basis", "expression_names", "joint_template", "joint_identity",
    "joint_names", "skin_weights", "joint_drive", "uv", "uv_faces", "vertex_parts", "part_names", "meta_json",
)  # fmt: skip


class HeadError(Exception):
    """A face model file that cannot be used, in a line."""


@dataclass(frozen=True)
class HeadModel:
    """What the mesh is made of; lengths in metres, positions in head axes."""

    name: str
    template: Float32
    """(V, 3)."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: Float32
    """(T, 2)."""
    uv_faces: NDArray[np.int32]
    """(F, 3) rows of ``uv``."""
    parts: NDArray[np.intp]
    """(V,) index into ``part_names``."""
    part_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    _identity_basis: Float32
    _expression_basis: Float32
    _joint_template: Float32
    _joint_identity: Float32
    _skin_weights: Float32
    _joint_drive: Float32

    @property
    def identity_count(self) -> int:
        return int(self._identity_basis.shape[2])

    def shapes(self, identity: NDArray[np.floating] | None = None) -> tuple[Float32, Float32]:
        """The relaxed face (V, 3) and the face with each expression at 1 (Ne, V, 3), in Blender's axes.

        Args:
            identity: (Ni,) the person's coefficients; the average person without.
        """
        shape = np.zeros(self.identity_count, np.float32) if identity is None else np.asarray(identity, np.float32)
        neutral = self.template + self._identity_basis @ shape
        joints = self._joint_template + self._joint_identity @ shape
        posed = neutral + np.moveaxis(self._expression_basis, 2, 0)
        for expression, joint in np.argwhere(self._joint_drive.any(axis=2)):
            if joint not in (_JAW, *_EYES):
                continue
            turn = matrix_from_rotvec(self._joint_drive[expression, joint]).astype(np.float32) - np.eye(
                3, dtype=np.float32
            )
            weights = self._skin_weights[:, joint, None]
            rest = neutral + self._expression_basis[:, :, expression]
            posed[expression] += (rest - joints[joint]) @ turn.T * weights
        to_blender = BLENDER_FROM_HEAD.astype(np.float32).T
        return (neutral @ to_blender).astype(np.float32), (posed @ to_blender).astype(np.float32)

    def eye_joints(self, identity: NDArray[np.floating] | None = None) -> Float32:
        """(2, 3) centres of the left and right eyeball in Blender's axes."""
        shape = np.zeros(self.identity_count, np.float32) if identity is None else np.asarray(identity, np.float32)
        centres = (self._joint_template + self._joint_identity @ shape)[list(_EYES)]
        return (centres @ BLENDER_FROM_HEAD.T).astype(np.float32)


def read_head(path: Path = BUNDLED) -> HeadModel:
    """Read a face model whose expressions have ARKit's names; without a path the head that comes with the add-on.

    Raises:
        HeadError: the file is missing, damaged or no such model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise HeadError(f"{path} is no face model: it has no '{missing[0]}' (docs/models.md has the format)")
            arrays = {key: archive[key] for key in _KEYS}
        name = str(json.loads(str(arrays["meta_json"]))["name"])
    except FileNotFoundError:
        raise HeadError(f"there is no face model at {path}") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        raise HeadError(f"{path} cannot be read as a face model ({error})") from error
    names = tuple(str(each) for each in arrays["expression_names"])
    if "jawOpen" not in names:
        raise HeadError(
            f"the expressions of '{name}' are not ARKit's; take the built-in head, which every face model's stream drives"
        )
    return HeadModel(
        name=name,
        template=arrays["template"].astype(np.float32),
        faces=arrays["faces"].astype(np.int32),
        uv=arrays["uv"].astype(np.float32),
        uv_faces=arrays["uv_faces"].astype(np.int32),
        parts=arrays["vertex_parts"].astype(np.intp),
        part_names=tuple(str(each) for each in arrays["part_names"]),
        expression_names=names,
        _identity_basis=arrays["identity_basis"].astype(np.float32),
        _expression_basis=arrays["expression_basis"].astype(np.float32),
        _joint_template=arrays["joint_template"].astype(np.float32),
        _joint_identity=arrays["joint_identity"].astype(np.float32),
        _skin_weights=arrays["skin_weights"].astype(np.float32),
        _joint_drive=arrays["joint_drive"].astype(np.float32),
    )
