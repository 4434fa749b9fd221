"""The FLAME-structured head in the neutral format without an importer in between: its correspondence is exact.

What registration has to find for a real file follows here from how the mesh was made, so that tests and figures about fitting,
streaming and takes do not depend on how well a registration went.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tools.structured_models.flame import EXPRESSION_COUNT, EYE_COUNT, ORIGIN, SHAPE_COUNT, SKIN_COUNT, flame_arrays
from tracker.face_model import (
    CONTROL_NAMES,
    EYE_LEFT,
    EYE_RIGHT,
    JAW,
    JOINT_NAMES,
    Embedding,
    FaceModel,
    load_face_model,
)
from tracker.face_model.arkit_map import with_arkit_map

Float32 = NDArray[np.float32]

_NEAREST = 24
_BOUNDS: dict[str, tuple[float, float]] = {
    "jaw_pitch": (-0.1, 0.7), "jaw_yaw": (-0.25, 0.25), "jaw_roll": (-0.15, 0.15), "eye_left_pitch": (-0.6, 0.6),
    "eye_left_yaw": (-0.8, 0.8), "eye_right_pitch": (-0.6, 0.6), "eye_right_yaw": (-0.8, 0.8), "eyelid_left": (0.0, 1.0),
    "eyelid_right": (0.0, 1.0),
}  # fmt: skip
_AXES = ((JAW, 0), (JAW, 1), (JAW, 2), (EYE_LEFT, 0), (EYE_LEFT, 1), (EYE_RIGHT, 0), (EYE_RIGHT, 1))


@cache
def flame_face_model() -> FaceModel:
    """``flame_arrays`` with free joints, lids of the built-in head's blinks, its landmarks, and the ARKit map."""
    head, arrays = load_face_model(), flame_arrays()
    carry = arrays.from_builtin.apply
    template = arrays.v_template - ORIGIN
    count = EXPRESSION_COUNT + len(CONTROL_NAMES)
    basis = np.zeros((len(template), 3, count))
    basis[:, :, :EXPRESSION_COUNT] = arrays.shapedirs[:, :, SHAPE_COUNT:]
    for column, name in ((count - 2, "eyeBlinkLeft"), (count - 1, "eyeBlinkRight")):
        basis[:, :, column] = carry(head.expression_basis[:, :, head.expression_names.index(name)])
    drive = np.zeros((count, len(JOINT_NAMES), 3), np.float32)
    for column, (joint, axis) in enumerate(_AXES, EXPRESSION_COUNT):
        drive[column, joint, axis] = 1.0
    bounds = [(-4.0, 4.0)] * EXPRESSION_COUNT + [_BOUNDS[name] for name in CONTROL_NAMES]
    moved = np.einsum("jv,vck->jck", arrays.j_regressor, arrays.shapedirs)
    faces = arrays.f.astype(np.int32)
    parts = np.repeat(np.arange(3, dtype=np.int8), (SKIN_COUNT, EYE_COUNT, EYE_COUNT))
    model = FaceModel(
        name="flame-structured",
        version="built-in head",
        licence=head.licence,
        sha256="0" * 64,
        template=_single(template),
        faces=faces,
        identity_basis=_single(arrays.shapedirs[:, :, :SHAPE_COUNT]),
        expression_basis=_single(basis),
        expression_names=tuple(f"expression{index:03d}" for index in range(EXPRESSION_COUNT)) + CONTROL_NAMES,
        expression_bounds=np.array(bounds, np.float32),
        joint_template=_single(arrays.j_regressor @ template),
        joint_identity=_single(moved[:, :, :SHAPE_COUNT]),
        joint_expression=_single(np.pad(moved[:, :, SHAPE_COUNT:], ((0, 0), (0, 0), (0, len(CONTROL_NAMES))))),
        skin_weights=_single(arrays.weights),
        joint_drive=drive,
        mirror=np.arange(len(template), dtype=np.int32),
        skin_mask=_single(np.clip(carry(head.skin_mask), 0.0, 1.0)),
        uv=np.zeros((1, 2), np.float32),
        uv_faces=np.zeros_like(faces),
        parts=parts,
        part_names=("skin", "eye_left", "eye_right"),
        regions=carry(head.regions.astype(np.float64)) > 0.5,
        region_names=head.region_names,
        embeddings={
            name: _embedded(template, faces, head.landmarks(head.template, name), embedding.weight)
            for name, embedding in head.embeddings.items()
        },
        pose_correctives=_single(arrays.posedirs),
        source_origin=_single(-ORIGIN),
        meta={"family": "flame"},
    )
    return with_arkit_map(model, head.expression_names, arkit_targets())


def arkit_targets() -> Float32:
    """(5023, 3, 52) where the vertices go with each of the built-in head's expressions, in its order."""
    head, carry = load_face_model(), flame_arrays().from_builtin.apply
    nobody = np.zeros(head.identity_count, np.float32)
    rest = head.vertices_head(nobody, head.neutral_params())
    moved = []
    for weights in np.eye(head.expression_count, dtype=np.float32):
        posed = head.vertices_head(nobody, head.params_of(weights, np.zeros(3), np.zeros(3)))
        moved.append(_single(carry(posed - rest)))
    return np.stack(moved, axis=2)


def _embedded(template: NDArray[np.float64], faces: NDArray[np.int32], points: Float32, weight: Float32) -> Embedding:
    """Points that lie on the mesh as triangles and barycentric weights."""
    corners = template[faces]
    middles = corners.mean(axis=1)
    found, shares = np.zeros(len(points), np.int32), np.zeros((len(points), 3), np.float32)
    for index, point in enumerate(points.astype(np.float64)):
        near = np.argsort(((middles - point) ** 2).sum(axis=1))[:_NEAREST]
        a, b, c = corners[near, 0], corners[near, 1], corners[near, 2]
        edges = np.stack([b - a, c - a], axis=2)
        inner = np.einsum("nij,nj->ni", np.linalg.pinv(edges), point - a)
        inside = np.clip(np.concatenate([1.0 - inner.sum(axis=1, keepdims=True), inner], axis=1), 0.0, 1.0)
        inside /= inside.sum(axis=1, keepdims=True)
        off = np.linalg.norm(np.einsum("nk,nkd->nd", inside, corners[near]) - point, axis=1)
        found[index], shares[index] = near[np.argmin(off)], inside[np.argmin(off)]
    return Embedding(found, shares, weight)


def _single(values: NDArray[np.floating]) -> Float32:
    return np.ascontiguousarray(values, np.float32)
