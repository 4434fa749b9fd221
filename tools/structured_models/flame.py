"""A head of FLAME's structure: 5023 vertices, 300 + 100 components, five joints, 36 pose features (Li 2017).

Its arrays are the built-in head's, carried over to a mesh of FLAME's size: skin 3931 vertices, left and right eyeball 546 each,
neither teeth nor tongue, the origin behind the nose bridge and not between the eyes. Expressions are not ARKit's any more but
orthogonal combinations of them by falling variance, and opening the mouth is left to the jaw joint, so that whatever reads
such a file has to do what real FLAME files ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tools.structured_models.modes import independent, smooth_modes
from tools.structured_models.refinement import Refined, cut_out, split_longest
from tracker.face_model import EYE_LEFT, EYE_RIGHT, JAW, NECK, FaceModel, load_face_model

Array = NDArray[np.float64]

SKIN_COUNT, EYE_COUNT = 3931, 546
SHAPE_COUNT, EXPRESSION_COUNT = 300, 100
ORIGIN = np.array([0.0, 0.026, 0.024])
"""Metres: where the middle between the eyeballs lies in FLAME's axes, whose origin is inside the head."""
_SEED = 2017
_EXTRA_SHAPE_RMS_M = 2.4e-5
_EXTRA_EXPRESSION_RMS_M = 3e-5
_CORRECTIVE_M = 1.5e-3
_TYPICAL_WEIGHT = 0.3
"""Standard deviation of an ARKit weight in everyday faces; sets the units of the expression coefficients."""


@dataclass(frozen=True, slots=True)
class FlameArrays:
    """What a FLAME file holds, float64, metres, y up, z forward."""

    v_template: Array
    """(5023, 3)."""
    f: NDArray[np.uint32]
    """(F, 3)."""
    shapedirs: Array
    """(5023, 3, 400): 300 shape components, then 100 expressions."""
    posedirs: Array
    """(5023, 3, 36) per entry of R - I of neck, jaw, left and right eye."""
    j_regressor: Array
    """(5, 5023) dense; rows sum to 1."""
    weights: Array
    """(5023, 5)."""
    kintree_table: NDArray[np.int64]
    """(2, 5) parents, then the joints themselves."""
    joints: Array
    """(5, 3) of the template."""
    arkit_to_expression: Array
    """(100, 52): coefficients of each ARKit expression of the built-in head, without what its joints do. Not in any file."""
    from_builtin: Refined
    """How the vertices follow from the built-in head's. Not in any file."""


@cache
def flame_arrays() -> FlameArrays:
    """The arrays; the same on every machine up to rounding."""
    head = load_face_model()
    rng = np.random.default_rng(_SEED)
    mesh = _mesh(head)
    template = mesh.apply(head.template)
    identity = mesh.apply(head.identity_basis)
    skin_only = np.concatenate([np.ones(SKIN_COUNT), np.zeros(2 * EYE_COUNT)])
    extra = independent(smooth_modes(template, SHAPE_COUNT - identity.shape[2], rng), identity, skin_only)
    falling = np.linspace(1.0, 0.2, extra.shape[2]) * _EXTRA_SHAPE_RMS_M * np.sqrt(3.0 * len(template))
    expression, coefficients = _expressions(head, mesh, template, rng)
    regressor = _joint_regressor(head, template)
    weights = mesh.apply(head.skin_weights)
    return FlameArrays(
        v_template=template + ORIGIN,
        f=mesh.faces.astype(np.uint32),
        shapedirs=np.concatenate([identity, extra * falling, expression], axis=2),
        posedirs=_correctives(weights, template, rng),
        j_regressor=regressor,
        weights=weights / weights.sum(axis=1, keepdims=True),
        kintree_table=np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        joints=regressor @ (template + ORIGIN),
        arkit_to_expression=coefficients,
        from_builtin=mesh,
    )


def flame_parameters(arkit: dict[str, float]) -> tuple[Array, Array, Array]:
    """What FLAME parameters make the face that ARKit weights make on the built-in head.

    Returns:
        expression (100,), jaw (3,) and eyes (6,) axis-angle. Exact but for pose correctives and where the joints lie.
    """
    head = load_face_model()
    weights = np.array([arkit.get(name, 0.0) for name in head.expression_names])
    turns = head.driven_rotations(weights)
    return (
        flame_arrays().arkit_to_expression @ weights,
        turns[JAW],
        np.concatenate([turns[EYE_LEFT], turns[EYE_RIGHT]]),
    )


def _mesh(head: FaceModel) -> Refined:
    faces, sources, shares, offset = [], [], [], 0
    for name, wanted in (("skin", SKIN_COUNT), ("eye_left", EYE_COUNT), ("eye_right", EYE_COUNT)):
        rows, part_faces = cut_out(head.faces, head.parts == head.part_names.index(name))
        part = split_longest(head.template[rows].astype(np.float64), part_faces, wanted)
        faces.append(part.faces + offset)
        sources.append(rows[part.sources].astype(np.int32))
        shares.append(part.shares)
        offset += wanted
    return Refined(np.concatenate(faces), np.concatenate(sources), np.concatenate(shares))


def _expressions(head: FaceModel, mesh: Refined, template: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    deltas = mesh.apply(head.expression_basis)
    flat = deltas.reshape(-1, deltas.shape[2])
    left, singular, right = np.linalg.svd(flat * _TYPICAL_WEIGHT, full_matrices=False)
    count = int(np.sum(singular > 1e-5 * singular[0]))
    basis = (left[:, :count] * singular[:count]).reshape(len(template), 3, count)
    coefficients = np.zeros((EXPRESSION_COUNT, deltas.shape[2]))
    coefficients[:count] = right[:count] / _TYPICAL_WEIGHT
    moving = np.linalg.norm(deltas, axis=1).max(axis=1)
    weight = np.where(np.arange(len(template)) < SKIN_COUNT, np.minimum(moving / moving.max() * 4.0, 1.0), 0.0)
    extra = independent(smooth_modes(template, EXPRESSION_COUNT - count, rng), basis, weight)
    falling = np.linspace(1.0, 0.3, extra.shape[2]) * _EXTRA_EXPRESSION_RMS_M * np.sqrt(3.0 * len(template))
    full = np.concatenate([basis, extra * falling], axis=2)
    order = np.argsort(-np.linalg.norm(full.reshape(-1, EXPRESSION_COUNT), axis=0), kind="stable")
    return full[:, :, order], coefficients[order]


def _correctives(weights: Array, template: Array, rng: np.random.Generator) -> Array:
    """Bulges where two joints share the skin, smooth over space, of up to a millimetre or two at a radian."""
    fields = smooth_modes(template, 36, rng) / 3.0
    for joint, first in zip((NECK, JAW, EYE_LEFT, EYE_RIGHT), range(0, 36, 9), strict=True):
        shared = 4.0 * weights[:, joint] * (1.0 - weights[:, joint])
        if joint in (EYE_LEFT, EYE_RIGHT):
            # Eyeballs are rigid; the lids around them follow a little.
            centre = template[weights[:, joint] > 0.5].mean(axis=0)
            near = np.exp(-np.sum((template - centre) ** 2, axis=1) / 0.018**2)
            shared = 0.2 * np.where(np.arange(len(template)) < SKIN_COUNT, near, 0.0)
        fields[:, :, first : first + 9] *= shared[:, None, None]
    return fields * _CORRECTIVE_M


def _joint_regressor(head: FaceModel, template: Array) -> Array:
    """Sparse rows that give the joints of the template exactly, from a few dozen vertices around each."""
    joints = head.joint_template.astype(np.float64).copy()
    joints[0] = template[template[:, 1] < np.quantile(template[:, 1], 0.01)].mean(axis=0)
    regressor = np.zeros((5, len(template)))
    eyes = {EYE_LEFT: slice(SKIN_COUNT, SKIN_COUNT + EYE_COUNT), EYE_RIGHT: slice(SKIN_COUNT + EYE_COUNT, None)}
    for joint, where in enumerate(joints):
        if joint in eyes:
            chosen = np.arange(len(template))[eyes[joint]]
        else:
            distance = np.linalg.norm(template[:SKIN_COUNT] - where, axis=1)
            # Half on either side, so that moving the face sideways cannot tip the balance.
            chosen = np.concatenate([_nearest(distance, template[:SKIN_COUNT, 0] * side) for side in (1.0, -1.0)])
        even = np.full(chosen.size, 1.0 / chosen.size)
        system = np.concatenate([template[chosen].T, np.ones((1, chosen.size))])
        missing = np.append(where, 1.0) - system @ even
        regressor[joint, chosen] = even + np.linalg.pinv(system) @ missing
    return regressor


def _nearest(distance: Array, side: Array) -> NDArray[np.intp]:
    return np.argsort(np.where(side > 0.0, distance, np.inf), kind="stable")[:20]
