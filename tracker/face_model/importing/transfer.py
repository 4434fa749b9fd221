"""Completing a foreign model: what its file does not say is carried over from the built-in head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.arkit_map import describe_arkit_map, with_arkit_map
from tracker.face_model.importing.expression_transfer import transfer_expressions
from tracker.face_model.importing.optional import require
from tracker.face_model.importing.registration import register
from tracker.face_model.importing.registration.correspondence import Correspondence
from tracker.face_model.importing.registration.surface import Surface
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.model import CONTROL_NAMES, EYE_LEFT, EYE_RIGHT, JAW, Embedding, FaceModel
from tracker.face_model.store import load_face_model

_DRIVES: Final = ((JAW, 0), (JAW, 1), (JAW, 2), (EYE_LEFT, 0), (EYE_LEFT, 1), (EYE_RIGHT, 0), (EYE_RIGHT, 1))
_CONTROL_BOUNDS: Final = ((-0.1, 0.6), (-0.25, 0.25), (-0.15, 0.15), *[(-0.7, 0.7)] * 4, (0.0, 1.0), (0.0, 1.0))
_LIDS: Final = ("eyeBlinkLeft", "eyeBlinkRight")
_REACH_M: Final = 0.006


@dataclass(frozen=True, slots=True)
class RegistrationReport:
    """How well a foreign head was brought onto the built-in one."""

    distance_mm: float
    """Median distance of the built-in head's skin to the foreign surface."""
    landmark_mm: float
    """Median distance of the landmarks."""
    arkit: tuple[str, ...]
    """What the map to ARKit's expressions can and cannot."""

    def lines(self) -> list[str]:
        """For people, one fact a line."""
        return [
            f"registered: surfaces {self.distance_mm:.2f} mm apart, landmarks {self.landmark_mm:.1f} mm (medians)",
            *self.arkit,
        ]


def complete(source: SourceModel, progress: Callable[[str, float], None]) -> tuple[FaceModel, RegistrationReport]:
    """Make a model that can be tracked with out of one with joints and skinning weights.

    Raises:
        FaceModelError: it has no joints, or cannot be registered to the built-in head.
    """
    if source.joint_template is None or source.joint_identity is None or source.skin_weights is None:
        raise FaceModelError(
            f"{source.name} has no joints: only models with joints of their own can be completed so far"
        )
    progress("registering to the built-in head", 0.0)
    found = register(source.template, source.faces, step=lambda share: progress("registering", 0.7 * share))
    progress("carrying expressions over", 0.7)
    carried = transfer_expressions(source, found)
    progress("solving for ARKit's expressions", 0.9)
    model = _assemble(source, found, carried.basis, carried.names)
    model = with_arkit_map(model, carried.names, carried.basis)
    apart = found.distance_m[np.isfinite(found.distance_m)]
    seen = found.landmark_weight > 0.5
    report = RegistrationReport(
        float(np.median(apart)) * 1e3,
        float(np.median(found.landmark_residual_m[seen])) * 1e3,
        describe_arkit_map(model),
    )
    progress("done", 1.0)
    return model, report


def _assemble(
    source: SourceModel, found: Correspondence, moved: NDArray[np.float32], names: tuple[str, ...]
) -> FaceModel:
    head = load_face_model()
    assert source.joint_template is not None and source.joint_identity is not None and source.skin_weights is not None
    origin = source.joint_template[[EYE_LEFT, EYE_RIGHT]].mean(axis=0)
    count, controls = source.vertex_count, len(CONTROL_NAMES)
    lids = np.stack([moved[:, :, names.index(name)] for name in _LIDS], axis=2)
    still = np.zeros((count, 3, controls - 2), np.float32)
    expressions = source.expression_count + controls
    drive = np.zeros((expressions, 5, 3), np.float32)
    for index, (joint, axis) in enumerate(_DRIVES, source.expression_count):
        drive[index, joint, axis] = 1.0
    joint_expression = np.zeros((5, 3, expressions), np.float32)
    if source.joint_expression is not None:
        joint_expression[:, :, : source.expression_count] = source.joint_expression
    back = found.mesh_on_builtin
    valid = back.valid.astype(np.float32)
    parts, part_names = _parts(source)
    return FaceModel(
        name=source.name,
        version=source.version,
        licence=source.licence,
        sha256="",
        template=source.template - origin,
        faces=source.faces,
        identity_basis=source.identity_basis,
        expression_basis=np.concatenate([source.expression_basis, still, lids], axis=2),
        expression_names=(*source.expression_names, *CONTROL_NAMES),
        expression_bounds=np.concatenate([source.expression_bounds, np.array(_CONTROL_BOUNDS, np.float32)]),
        joint_template=source.joint_template - origin,
        joint_identity=source.joint_identity,
        joint_expression=joint_expression,
        skin_weights=source.skin_weights,
        joint_drive=drive,
        mirror=_mirror(source.template) if source.mirror is None else source.mirror,
        skin_mask=(back.carry(head.skin_mask, head.faces) * valid * (parts == 0)).astype(np.float32),
        uv=_around(source.template) if source.uv is None else source.uv,
        uv_faces=source.faces if source.uv_faces is None else source.uv_faces,
        parts=parts,
        part_names=part_names,
        regions=back.carry(head.regions.astype(np.float32), head.faces) * valid[:, None] > 0.5,
        region_names=head.region_names,
        embeddings=_embeddings(source, found, head),
        pose_correctives=source.pose_correctives,
        source_origin=-origin,
        albedo_mean=source.albedo_mean,
        albedo_basis=source.albedo_basis,
        attribution=source.attribution,
    )


def _embeddings(source: SourceModel, found: Correspondence, head: FaceModel) -> dict[str, Embedding]:
    """The built-in head's landmark sets where its registered shape touches the mesh; sets that came with the file win."""
    triangles = source.faces.astype(np.intp)
    surface = Surface(found.to_builtin.apply(source.template.astype(np.float64)), triangles, np.arange(len(triangles)))
    shape = found.to_builtin.apply(found.deformed)
    embeddings = {}
    for name, own in head.embeddings.items():
        points = np.einsum("lc,lcd->ld", own.barycentric.astype(np.float64), shape[head.faces[own.faces]])
        place = surface.nearest(points)
        weight = np.where(place.distance < _REACH_M, own.weight, 0.0)
        embeddings[name] = Embedding(
            place.faces.astype(np.int32), place.barycentric.astype(np.float32), weight.astype(np.float32)
        )
    for name, given in source.embeddings.items():
        derived = embeddings.get(name)
        if derived is None or (given.weight > 0.0).all():
            embeddings[name] = given
    return embeddings


def _mirror(template: NDArray[np.float32]) -> NDArray[np.int32]:
    spatial = require("scipy.spatial", "completing a face model")
    _, nearest = spatial.cKDTree(template).query(template * np.array([-1.0, 1.0, 1.0]))
    return np.asarray(nearest, np.int32)


def _parts(source: SourceModel) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    if source.parts is not None:
        return source.parts, source.part_names
    assert source.skin_weights is not None
    parts = np.zeros(source.vertex_count, np.int8)
    parts[source.skin_weights[:, EYE_LEFT] > 0.5] = 1
    parts[source.skin_weights[:, EYE_RIGHT] > 0.5] = 2
    return parts, ("skin", "eye_left", "eye_right")


def _around(template: NDArray[np.float32]) -> NDArray[np.float32]:
    """Texture coordinates (V, 2) of a cylinder around the head: it has none of its own."""
    centred = template - template.mean(axis=0)
    angle = np.arctan2(centred[:, 0], centred[:, 2]) / (2.0 * np.pi) + 0.5
    height = np.ptp(template[:, 1]) or 1.0
    return np.stack([angle, (template[:, 1] - template[:, 1].min()) / height], axis=1).astype(np.float32)
