"""What a reader of a foreign file hands over: the model as its authors published it, in our units and axes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.model import JOINT_NAMES, Embedding

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A face model before it is completed. Float32, metres, head axes (x subject-left, y up, z out of the face).

    The origin is the file's own. ``None`` says that the file has nothing of that kind; completing a model
    (``tracker.face_model.importing.transfer.complete``) then derives it.

    Raises:
        FaceModelError: arrays do not fit together or hold numbers that are not finite.
    """

    name: str
    """What the model is called where the user gives no name: ``flame2023``."""
    family: str
    """``flame``, ``basel``, ``gnm`` or ``ict``."""
    version: str
    """As published: ``2023 Open``."""
    licence: str
    """One line: the licence and where its text is."""
    source: str
    """The file or folder it was read from."""
    sha256: str
    """Of that file; of a folder, the digest of its files' digests in the order of their names."""
    template: Float32
    """(V, 3)."""
    faces: Int32
    """(F, 3) triangles, counter-clockwise from outside."""
    identity_basis: Float32
    """(V, 3, Ni), scaled so that N(0, 1) is the population."""
    expression_basis: Float32
    """(V, 3, Ne) per unit weight; what joints do is not in it."""
    expression_names: tuple[str, ...]
    """(Ne,) ARKit's names where they mean the same."""
    expression_bounds: Float32
    """(Ne, 2)."""
    joint_template: Float32 | None = None
    """(5, 3) rest positions of ``JOINT_NAMES``."""
    joint_identity: Float32 | None = None
    """(5, 3, Ni)."""
    joint_expression: Float32 | None = None
    """(5, 3, Ne): FLAME regresses joints from the mesh with its expression."""
    skin_weights: Float32 | None = None
    """(V, 5), rows sum to 1."""
    joint_drive: Float32 | None = None
    """(Ne, 5, 3) axis-angle per unit of weight, for models whose expressions turn joints."""
    pose_correctives: Float32 | None = None
    """(V, 3, 36) per entry of R - I of neck, jaw, left and right eye."""
    uv: Float32 | None = None
    """(T, 2), v upwards."""
    uv_faces: Int32 | None = None
    """(F, 3) into ``uv``."""
    mirror: Int32 | None = None
    """(V,) left-right partner."""
    parts: NDArray[np.int8] | None = None
    """(V,) index into ``part_names``."""
    part_names: tuple[str, ...] = ()
    """The built-in head's words where they fit: skin, eye_left, eye_right, teeth, tongue, inner_mouth, eye_socket."""
    albedo_mean: Float32 | None = None
    """(V, 3) sRGB, 0..1."""
    albedo_basis: Float32 | None = None
    """(V, 3, Na), scaled so that N(0, 1) is the population."""
    embeddings: dict[str, Embedding] = field(default_factory=dict)
    """Landmark sets that came with the file."""
    attribution: str = ""
    """Whom to cite."""
    notes: tuple[str, ...] = ()
    """One line for each thing in the file that could not be used, and why."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def vertex_count(self) -> int:
        return int(self.template.shape[0])

    @property
    def identity_count(self) -> int:
        return int(self.identity_basis.shape[2])

    @property
    def expression_count(self) -> int:
        return int(self.expression_basis.shape[2])


def _check(model: SourceModel) -> None:
    if model.template.ndim != 2 or model.identity_basis.ndim != 3 or model.expression_basis.ndim != 3:
        raise FaceModelError(
            f"{model.source}: expected a template (V, 3) and bases (V, 3, N), got {model.template.shape}, "
            f"{model.identity_basis.shape} and {model.expression_basis.shape}"
        )
    v, ni, ne, j = model.vertex_count, model.identity_count, model.expression_count, len(JOINT_NAMES)
    expected: dict[str, tuple[int, ...]] = {
        "template": (v, 3),
        "identity_basis": (v, 3, ni),
        "expression_basis": (v, 3, ne),
        "expression_bounds": (ne, 2),
        "joint_template": (j, 3),
        "joint_identity": (j, 3, ni),
        "joint_expression": (j, 3, ne),
        "skin_weights": (v, j),
        "joint_drive": (ne, j, 3),
        "pose_correctives": (v, 3, 36),
        "mirror": (v,),
        "parts": (v,),
        "albedo_mean": (v, 3),
    }
    for key, shape in expected.items():
        array = getattr(model, key)
        if array is not None and array.shape != shape:
            raise FaceModelError(f"{model.source}: expected {key} of shape {shape}, got {array.shape}")
        if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FaceModelError(f"{model.source}: {key} contains numbers that are not finite; fetch the file again")
    if len(model.expression_names) != ne:
        raise FaceModelError(f"{model.source}: expected {ne} expression names, got {len(model.expression_names)}")
    if model.albedo_basis is not None and not np.isfinite(model.albedo_basis).all():
        raise FaceModelError(f"{model.source}: albedo_basis contains numbers that are not finite; fetch the file again")
    if model.faces.ndim != 2 or model.faces.shape[1] != 3:
        raise FaceModelError(f"{model.source}: expected triangles (F, 3), got {model.faces.shape}")
    if model.faces.min(initial=0) < 0 or model.faces.max(initial=0) >= v:
        raise FaceModelError(f"{model.source}: triangles refer to vertices outside 0..{v - 1}; fetch the file again")
