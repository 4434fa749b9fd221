"""Parts, regions, joints and skinning of a head that came without, from its correspondence to the built-in head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.registration.correspondence import Correspondence
from tracker.face_model.importing.registration.harmonic import extend
from tracker.face_model.importing.registration.head_template import head_template
from tracker.face_model.importing.registration.surface import Surface, components
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, JOINT_NAMES, NECK, ROOT

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

_EYE_REACH_M: Final = 0.012
"""An eyeball's middle lies no farther from where registration expects it."""
_EYE_SIZE_M: Final = (0.018, 0.034)
_LEAST_EYE: Final = 30
"""Vertices of the coarsest eyeball."""
_FAR_M: Final = 0.02
"""Vertices farther from the built-in head than this belong to none of its regions."""
_NEAR_JOINT: Final = 60


def find_parts(source: SourceModel, correspondence: Correspondence) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    """(V,) part of every vertex and the parts' names, the built-in head's.

    Pieces of their own are eyeballs where they lie and measure like such; whatever else is not skin is what the deformed
    built-in head has there.
    """
    builtin = head_template().model
    names = builtin.part_names
    if source.parts is not None and "skin" in source.part_names:
        return source.parts, source.part_names
    count = source.vertex_count
    label = components(source.faces.astype(np.intp), count)
    nearest = _nearest_part(source, correspondence)
    parts = np.full(count, names.index("skin"), np.int8)
    valid = correspondence.mesh_on_builtin.valid
    has_skin = np.zeros(label.max() + 1, np.bool_)
    has_skin[label[valid]] = True
    parts[~has_skin[label]] = nearest[~has_skin[label]]
    # Inside the skin's own piece only what lies behind the lips or lids and corresponds to no skin is something else.
    hidden = has_skin[label] & ~valid & np.isin(nearest, [names.index("inner_mouth"), names.index("eye_socket")])
    parts[hidden] = nearest[hidden]
    scale = correspondence.to_builtin.scale
    if source.skin_weights is not None:
        for joint, name in ((EYE_LEFT, "eye_left"), (EYE_RIGHT, "eye_right")):
            parts[source.skin_weights[:, joint] > 0.5] = names.index(name)
        return parts, names
    for name in ("eye_left", "eye_right"):
        expected = correspondence.deformed[builtin.parts == names.index(name)].mean(axis=0)
        for piece in np.flatnonzero(np.bincount(label) >= _LEAST_EYE):
            rows = label == piece
            points = source.template[rows].astype(np.float64)
            size = float(np.ptp(points, axis=0).max()) * scale
            middle = (points.max(axis=0) + points.min(axis=0)) / 2
            apart = float(np.linalg.norm(middle - expected)) * scale
            if apart < _EYE_REACH_M and _EYE_SIZE_M[0] < size < _EYE_SIZE_M[1]:
                parts[rows] = names.index(name)
    return parts, names


def find_regions(source: SourceModel, correspondence: Correspondence) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """(V, R) regions of the built-in head and their names."""
    builtin = head_template().model
    surface = Surface(correspondence.deformed, builtin.faces)
    place = surface.nearest(source.template)
    corner = builtin.faces[place.faces, place.barycentric.argmax(axis=1)]
    regions = builtin.regions[corner].copy()
    regions[place.distance * correspondence.to_builtin.scale > _FAR_M] = False
    on_skin = correspondence.mesh_on_builtin
    sure = builtin.faces[on_skin.faces, on_skin.barycentric.argmax(axis=1)]
    regions[on_skin.valid] = builtin.regions[sure[on_skin.valid]]
    return regions, builtin.region_names


def find_skin_mask(parts: NDArray[np.int8], names: tuple[str, ...], correspondence: Correspondence) -> Float32:
    """(V,) 1 where bare skin is, as on the built-in head."""
    builtin = head_template().model
    carried = correspondence.mesh_on_builtin.carry(builtin.skin_mask, builtin.faces)
    shown = correspondence.mesh_on_builtin.valid & (parts == names.index("skin"))
    return np.where(shown, np.clip(carried, 0.0, 1.0), 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Joints:
    """Where joints are and what hangs on them."""

    template: Float32
    """(5, 3) metres, the source's origin."""
    identity: Float32
    """(5, 3, Ni)."""
    skin_weights: Float32
    """(V, 5)."""


def find_joints(
    source: SourceModel, parts: NDArray[np.int8], names: tuple[str, ...], correspondence: Correspondence
) -> Joints:
    """The source's joints, or joints for a model whose jaw opens by its expressions alone: nothing hangs on the jaw, eyes turn
    about their middles, everything above the neck's joint turns with it as on the built-in head.
    """
    if source.joint_template is not None and source.skin_weights is not None:
        identity = source.joint_identity
        if identity is None:
            identity = np.zeros((len(JOINT_NAMES), 3, source.identity_count), np.float32)
        return Joints(source.joint_template, identity, source.skin_weights)
    template = head_template()
    builtin = template.model
    joints = np.zeros((len(JOINT_NAMES), 3))
    moves = np.zeros((len(JOINT_NAMES), 3, source.identity_count), np.float32)
    rest = builtin.template[template.vertex_ids].astype(np.float64)
    on_mesh = correspondence.builtin_on_mesh
    back = correspondence.to_builtin.inverse
    for joint in range(len(JOINT_NAMES)):
        # A joint goes where the skin around it goes.
        distance = np.linalg.norm(rest - builtin.joint_template[joint], axis=1)
        near = np.argsort(distance, kind="stable")[:_NEAR_JOINT]
        around = template.vertex_ids[near]
        offset = correspondence.deformed[around].mean(axis=0) - back.apply(rest[near]).mean(axis=0)
        joints[joint] = back.apply(builtin.joint_template[joint][None])[0] + offset
        valid = around[on_mesh.valid[around]]
        if len(valid):
            corners = source.faces[on_mesh.faces[valid]]
            basis = source.identity_basis[corners]
            moves[joint] = np.einsum("nk,nkic->ic", on_mesh.barycentric[valid], basis) / len(valid)
    weights = _neck_weights(source, correspondence)
    for joint, name in ((EYE_LEFT, "eye_left"), (EYE_RIGHT, "eye_right")):
        rows = np.flatnonzero(parts == names.index(name)) if name in names else np.zeros(0, np.intp)
        if len(rows):
            ball, centre = sphere(source.template[rows].astype(np.float64))
            joints[joint] = centre
            moves[joint] = source.identity_basis[rows[ball]].mean(axis=0)
            weights[rows] = 0.0
            weights[rows, joint] = 1.0
    joints[ROOT] = joints[[EYE_LEFT, EYE_RIGHT]].mean(axis=0)
    moves[ROOT] = 0.0
    return Joints(joints.astype(np.float32), moves, weights)


def sphere(points: Float64) -> tuple[Int, Float64]:
    """The points (n, 3) of an eyeball that lie on its sphere, and the sphere's centre (3,); the cornea stands out of it."""
    chosen = np.arange(len(points))
    centre = points.mean(axis=0)
    for _ in range(6):
        system = np.column_stack([2.0 * points[chosen], np.ones(len(chosen))])
        solution = np.linalg.lstsq(system, (points[chosen] ** 2).sum(axis=1), rcond=None)[0]
        centre = solution[:3]
        radius = np.linalg.norm(points - centre, axis=1)
        off = np.abs(radius - np.median(radius[chosen]))
        chosen = np.flatnonzero(off <= max(np.quantile(off, 0.7), 1e-9))
    return chosen, centre


def _neck_weights(source: SourceModel, correspondence: Correspondence) -> Float32:
    """(V, 5) root and neck alone."""
    builtin = head_template().model
    root = correspondence.mesh_on_builtin.carry(builtin.skin_weights[:, ROOT], builtin.faces)
    spread = extend(root[:, None], correspondence.mesh_on_builtin.valid, source.faces.astype(np.intp))[:, 0]
    weights = np.zeros((source.vertex_count, len(JOINT_NAMES)), np.float32)
    weights[:, ROOT] = np.clip(spread, 0.0, 1.0)
    weights[:, NECK] = 1.0 - weights[:, ROOT]
    weights[:, JAW] = 0.0
    return weights


def _nearest_part(source: SourceModel, correspondence: Correspondence) -> NDArray[np.int8]:
    builtin = head_template().model
    place = Surface(correspondence.deformed, builtin.faces).nearest(source.template)
    corner = builtin.faces[place.faces, place.barycentric.argmax(axis=1)]
    return np.asarray(builtin.parts[corner], np.int8)
