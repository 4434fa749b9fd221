"""A person's head as other programs have it: a neutral mesh with morph targets, a skeleton, and their curves.

Everything is in the facing frame: right-handed, y up, metres, the camera at the origin looking along -z, so that a face that
looks into the camera has no rotation. Those are the axes of glTF, USD and OpenGL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.exporting.performance import Performance, Track
from tracker.face_model.model import (
    EYE_LEFT,
    EYE_RIGHT,
    EYELID_CONTROLS,
    JAW,
    JOINT_NAMES,
    NECK,
    ROOT,
    FaceModel,
)
from tracker.face_model.normals import vertex_normals
from tracker.rotations import matrix_from_quaternion, matrix_from_rotvec, quaternion_from_matrix
from tracker.srgb import to_linear

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

PARENTS: Final = {ROOT: None, NECK: ROOT, JAW: NECK, EYE_LEFT: NECK, EYE_RIGHT: NECK}
_INFLUENCES: Final = 4
_PART_COLOURS: Final = {
    "skin": (0.78, 0.57, 0.46),
    "eye_left": (0.93, 0.93, 0.93),
    "eye_right": (0.93, 0.93, 0.93),
    "teeth": (0.88, 0.86, 0.79),
    "tongue": (0.69, 0.38, 0.38),
    "inner_mouth": (0.45, 0.20, 0.19),
    "eye_socket": (0.62, 0.40, 0.35),
}
_IRIS: Final = (0.25, 0.20, 0.16)


@dataclass(frozen=True, slots=True)
class Rig:
    """One track as mesh, skeleton and curves over T frames. Metres, facing frame; quaternions xyzw."""

    name: str
    vertices: Float32
    """(V, 3) the person's neutral face in head axes; the first are the face model's, doubles along seams of the UVs follow."""
    normals: Float32
    """(V, 3) unit."""
    uv: Float32
    """(V, 2), v up."""
    colours: Float32
    """(V, 3) linear 0..1, by parts."""
    triangles: Int32
    """(F, 3)."""
    model_vertices: int
    """How many of the vertices are the face model's own."""
    morph_names: tuple[str, ...]
    morphs: Float32
    """(M, V, 3) displacement per unit of weight."""
    weights: Float32
    """(T, M)."""
    joints: Float64
    """(5, 3) where ``JOINT_NAMES`` rest, head axes."""
    joint_indices: Int32
    """(V, 4) which joints move a vertex."""
    joint_weights: Float32
    """(V, 4), rows sum to 1."""
    rotations: Float32
    """(T, 5, 4) of each joint relative to its parent; the root's is the head pose."""
    translations: Float32
    """(T, 5, 3) of each joint relative to its parent's; the root's is the head pose."""
    present: NDArray[np.bool_]
    """(T,)."""


def build_rig(performance: Performance, track: Track, model: FaceModel) -> Rig:
    """The rig of one track.

    Raises:
        RecordingError: the take was made with another face model.
    """
    performance.take.check_model(model)
    corner = _unfold(model)
    neutral = model.neutral_vertices(track.identity)
    names, morphs, weights = _morphs(model, track)
    indices, shares = _influences(model)
    joints = joint_positions(model, track.identity)
    rotations, translations = _pose(model, track, joints)
    return Rig(
        name=track.name,
        vertices=neutral[corner.vertex],
        normals=_normals(model, neutral)[corner.vertex],
        uv=model.uv[corner.uv],
        colours=_colours(model)[corner.vertex],
        triangles=corner.triangles,
        model_vertices=model.vertex_count,
        morph_names=names,
        morphs=morphs[:, corner.vertex],
        weights=weights,
        joints=joints,
        joint_indices=indices[corner.vertex],
        joint_weights=shares[corner.vertex],
        rotations=rotations,
        translations=translations,
        present=track.present,
    )


def facing_pose(track: Track) -> tuple[Float64, Float64]:
    """Head positions (T, 3) metres and quaternions (T, 4) xyzw, head axes to facing frame."""
    position = track.position.astype(np.float64) * (1.0, -1.0, -1.0)
    x, y, z, w = track.quaternion.astype(np.float64).T
    # The half turn about x, camera axes to facing frame, is the quaternion (1, 0, 0, 0): this is their product.
    turned = np.stack([w, -z, y, -x], axis=1)
    if turned[0, 3] < 0.0:
        turned = -turned
    unit: Float64 = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return position, unit


def joint_positions(model: FaceModel, identity: NDArray[np.floating]) -> Float64:
    """Where the joints of a relaxed face rest, (5, 3) metres in head axes."""
    positions: Float64 = model.joint_template.astype(np.float64) + model.joint_identity.astype(np.float64) @ identity
    return positions


def matrices_of(quaternions: NDArray[np.floating]) -> Float64:
    """(T, 4) xyzw -> (T, 3, 3)."""
    return np.stack([matrix_from_quaternion(q) for q in quaternions])


def rotvec_matrices(rotvecs: NDArray[np.floating]) -> Float64:
    """(T, 3) axis-angle -> (T, 3, 3)."""
    return np.stack([matrix_from_rotvec(r) for r in rotvecs])


@dataclass(frozen=True, slots=True)
class _Unfolded:
    vertex: Int32
    uv: Int32
    triangles: Int32


def _unfold(model: FaceModel) -> _Unfolded:
    """Vertices that have one place in the picture each: those on seams are doubled, behind the model's own."""
    first = np.full(model.vertex_count, -1, np.int64)
    corners, places = model.faces.reshape(-1).astype(np.int64), model.uv_faces.reshape(-1).astype(np.int64)
    # Written backwards, so that the first corner of a vertex wins.
    first[corners[::-1]] = places[::-1]
    first[first < 0] = 0
    doubled = np.flatnonzero(first[corners] != places)
    extra, inverse = np.unique(np.stack([corners[doubled], places[doubled]], axis=1), axis=0, return_inverse=True)
    triangles = corners.copy()
    triangles[doubled] = model.vertex_count + inverse.reshape(-1)
    return _Unfolded(
        np.concatenate([np.arange(model.vertex_count), extra[:, 0]]).astype(np.int32),
        np.concatenate([first, extra[:, 1]]).astype(np.int32),
        triangles.reshape(-1, 3).astype(np.int32),
    )


def _morphs(model: FaceModel, track: Track) -> tuple[tuple[str, ...], Float32, Float32]:
    """Names, displacements (M, V, 3) and weights (T, M): expressions, lids that are controls, FLAME's pose correctives."""
    count = len(model.published_names)
    names = list(model.published_names)
    basis = [model.expression_basis[:, :, :count]]
    weights = [track.expression]
    for side, name in enumerate(EYELID_CONTROLS):
        if name in model.expression_names[count:]:
            names.append(name)
            basis.append(model.expression_basis[:, :, [model.expression_names.index(name)]])
            weights.append(track.eyelids[:, [side]])
    if model.pose_correctives is not None:
        turns = (track.neck, track.jaw, track.eyes[:, :3], track.eyes[:, 3:])
        features = np.concatenate([(rotvec_matrices(turn) - np.eye(3)).reshape(-1, 9) for turn in turns], axis=1)
        moving = np.flatnonzero(np.abs(features).max(axis=0) > 1e-7)
        names += [f"corrective_{index:02d}" for index in moving]
        basis.append(model.pose_correctives[:, :, moving])
        weights.append(features[:, moving].astype(np.float32))
    morphs = np.ascontiguousarray(np.concatenate(basis, axis=2).transpose(2, 0, 1), np.float32)
    return tuple(names), morphs, np.ascontiguousarray(np.concatenate(weights, axis=1), np.float32)


def _influences(model: FaceModel) -> tuple[Int32, Float32]:
    order = np.argsort(-model.skin_weights, axis=1, kind="stable")[:, :_INFLUENCES]
    shares = np.take_along_axis(model.skin_weights, order, axis=1).astype(np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.where(shares > 0.0, order, 0).astype(np.int32), shares


def _pose(model: FaceModel, track: Track, joints: Float64) -> tuple[Float32, Float32]:
    count = len(track.present)
    rotations = np.zeros((count, len(JOINT_NAMES), 4))
    translations = np.zeros((count, len(JOINT_NAMES), 3))
    translations[:, ROOT], rotations[:, ROOT] = facing_pose(track)
    turns = {NECK: track.neck, JAW: track.jaw, EYE_LEFT: track.eyes[:, :3], EYE_RIGHT: track.eyes[:, 3:]}
    # The pivots move with the expression where the model says so, while the mesh is bound where they rest.
    pivots = np.repeat(joints[None], count, axis=0)
    if model.joint_expression is not None:
        published = len(model.published_names)
        moved = np.einsum("jce,te->tjc", model.joint_expression[:, :, :published].astype(np.float64), track.expression)
        pivots = pivots + moved
    for joint, turn in turns.items():
        parent = PARENTS[joint]
        assert parent is not None
        matrices = rotvec_matrices(turn)
        rotations[:, joint] = np.stack([quaternion_from_matrix(matrix) for matrix in matrices])
        # x' = R (x - pivot) + pivot in the parent's rest frame; the joint's own origin rests at joints[joint].
        drift = pivots[:, joint] - joints[joint]
        origin = 0.0 if parent == ROOT else joints[parent]
        translations[:, joint] = joints[joint] - origin + drift - np.einsum("tij,tj->ti", matrices, drift)
    return _signed(rotations).astype(np.float32), translations.astype(np.float32)


def _signed(rotations: Float64) -> Float64:
    """The same turns, each with the sign that is nearer to the one before, beginning with w >= 0."""
    rotations = np.where(rotations[:1, :, 3:] < 0.0, -rotations, rotations)
    flips = np.ones(rotations.shape[:2])
    flips[1:] = np.where((rotations[1:] * rotations[:-1]).sum(axis=2) < 0.0, -1.0, 1.0)
    signed: Float64 = rotations * np.cumprod(flips, axis=0)[:, :, None]
    return signed


def _normals(model: FaceModel, vertices: Float32) -> Float32:
    normals = vertex_normals(vertices.astype(np.float64), model.faces)
    # Formats want unit vectors, also of vertices that no triangle uses.
    normals[~normals.any(axis=1)] = (0.0, 1.0, 0.0)
    return normals.astype(np.float32)


def _colours(model: FaceModel) -> Float32:
    colours = np.tile(np.array(_PART_COLOURS["skin"]), (model.vertex_count, 1))
    for index, name in enumerate(model.part_names):
        rows = np.flatnonzero(model.parts == index)
        colours[rows] = _PART_COLOURS.get(name, _PART_COLOURS["skin"])
        if name in ("eye_left", "eye_right") and rows.size:
            depth = model.template[rows, 2] - model.joint_template[EYE_LEFT if name == "eye_left" else EYE_RIGHT, 2]
            # The iris covers a cone of about 30 degrees around the axis of an eye.
            colours[rows[depth > 0.87 * float(depth.max())]] = _IRIS
    return to_linear(colours).astype(np.float32)
