"""The built-in head's expressions on another head: deformation transfer (Sumner and Popovic 2004).

The gradients of each expression, triangle by triangle, are applied to the built-in head in the shape of the other head, where
a sparse least squares finds the vertices that have them; its displacements are then read where the other head's vertices
lie. Turns and stretches so follow the other face's own proportions, which copied displacements do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.face_model.importing.optional import require
from tracker.face_model.importing.registration.correspondence import Correspondence
from tracker.face_model.importing.registration.harmonic import extend
from tracker.face_model.importing.registration.head_template import HeadTemplate, head_template
from tracker.face_model.importing.registration.surface import PURPOSE, edges_of
from tracker.face_model.model import FaceModel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int = NDArray[np.intp]

_ANCHOR: Final = 1e-2
"""Weight that holds every vertex that an expression leaves alone, relative to the gradients."""
_STILL_M: Final = 2e-5


class HasMesh(Protocol):
    """A model as far as transfer needs it: ``SourceModel`` and ``FaceModel`` are such."""

    @property
    def template(self) -> Float32: ...
    @property
    def faces(self) -> NDArray[np.int32]: ...


@dataclass(frozen=True, slots=True)
class TransferredExpressions:
    """Expressions of the built-in head on another mesh."""

    names: tuple[str, ...]
    """The built-in head's, which are ARKit's."""
    basis: Float32
    """(V, 3, 52) displacement at weight 1 in the mesh's own units and axes, with what the built-in head's joints do; eyeballs
    stay.
    """
    known: NDArray[np.bool_]
    """(V,) skin that corresponds; elsewhere displacements are continued smoothly, and are zero on parts of their own."""


def transfer_expressions(model: HasMesh, correspondence: Correspondence) -> TransferredExpressions:
    """The built-in head's 52 ARKit expressions on another head's mesh.

    Args:
        model: the other head's neutral mesh, (V, 3) and (F, 3).
        correspondence: from registering that mesh.

    Raises:
        FaceModelError: scipy is missing.
    """
    template = head_template()
    deltas = builtin_deltas()[template.vertex_ids]
    rest = template.model.template[template.vertex_ids].astype(np.float64)
    moved = _transfer(template, rest, deltas, correspondence.deformed[template.vertex_ids], correspondence)
    whole = np.zeros((template.model.vertex_count, 3 * deltas.shape[2]))
    whole[template.vertex_ids] = moved.reshape(len(moved), -1)
    carried = correspondence.mesh_on_builtin.carry(whole, template.model.faces)
    known = correspondence.mesh_on_builtin.valid
    spread = extend(carried, known, np.asarray(model.faces, np.intp))
    basis = spread.reshape(len(spread), 3, -1).astype(np.float32)
    return TransferredExpressions(template.model.expression_names, basis, known)


@cache
def builtin_deltas() -> Float64:
    """(Vb, 3, 52) what each expression of the built-in head does to its mean at weight 1, joints included."""
    model: FaceModel = head_template().model
    identity = np.zeros(model.identity_count, np.float32)
    neutral = model.neutral_params()
    deltas = np.empty((model.vertex_count, 3, len(ARKIT_NAMES)))
    for index in range(model.expression_count):
        neutral.expression[:] = 0.0
        neutral.expression[index] = 1.0
        posed = model.vertices_head(identity, model.with_joint_rotations(neutral))
        deltas[:, :, index] = posed - model.template
    return deltas


def _transfer(
    template: HeadTemplate, rest: Float64, deltas: Float64, shape: Float64, correspondence: Correspondence
) -> Float64:
    """(n, 3, E) displacements of the deformed skin, mesh coordinates."""
    sparse = require("scipy.sparse", PURPOSE)
    faces = template.faces
    count, expressions = len(rest), deltas.shape[2]
    turn = correspondence.to_builtin.inverse.rotation
    # Gradients are those of the built-in head's axes; the other head may stand a little turned.
    source = rest @ turn.T
    moved = np.einsum("ij,nje->nie", turn, deltas)
    inverse_source, _ = _frames(source, faces)
    inverse_shape, area = _frames(shape, faces)
    weight = np.sqrt(area / area.mean())
    # Rows: for each triangle and axis of its frame, the displacement's gradient on the other shape.
    rows = np.arange(3 * len(faces)).reshape(-1, 3)
    gradient = np.stack([-inverse_shape[:, :2].sum(axis=1), inverse_shape[:, 0], inverse_shape[:, 1]], axis=1)
    length = float(np.sqrt(area.mean()))
    values = (gradient * weight[:, None, None] * length).transpose(0, 2, 1)
    operator = sparse.csr_matrix(
        (values.ravel(), (rows.repeat(3, axis=1).ravel(), np.tile(faces[:, None], (1, 3, 1)).ravel())),
        shape=(3 * len(faces), count),
    )
    edges = np.stack([moved[faces[:, 1]] - moved[faces[:, 0]], moved[faces[:, 2]] - moved[faces[:, 0]]], axis=1)
    # Displacement gradient of the source, (F, gradient axis, displacement axis, E).
    wanted = np.einsum("fak,faie->fkie", inverse_source[:, :2], edges) * (weight * length)[:, None, None, None]
    still = np.linalg.norm(deltas, axis=1).max(axis=1) < _STILL_M
    border = _border(faces, count)
    scale = correspondence.to_builtin.inverse.scale
    # Gradients leave a free translation: skin that never moves holds the rest, and the border of lips and lids stays near
    # the copied displacement.
    hold = np.where(still, 1.0, np.where(border, _ANCHOR, _ANCHOR * 0.1))
    system = (operator.T @ operator + sparse.diags(hold**2)).tocsc()
    right = operator.T @ wanted.reshape(3 * len(faces), -1)
    right += (hold**2)[:, None] * (moved * scale).reshape(count, -1)
    solved: Float64 = require("scipy.sparse.linalg", PURPOSE).splu(system).solve(np.ascontiguousarray(right))
    return solved.reshape(count, 3, expressions)


def _frames(vertices: Float64, faces: Int) -> tuple[Float64, Float64]:
    """Inverse (F, 3, 3) of each triangle's frame, two edges and the unit normal as columns, and area (F,)."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normal = np.cross(b - a, c - a)
    length = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    # A sliver's inverse would dwarf all others: its height is kept at a thousandth of its longest side.
    sides = np.maximum(np.linalg.norm(b - a, axis=1), np.linalg.norm(c - a, axis=1))
    frame = np.stack([b - a, c - a, normal / length], axis=2)
    flat = length[:, 0] < 1e-3 * sides**2
    inverse = np.zeros_like(frame)
    inverse[~flat] = np.linalg.inv(frame[~flat])
    return inverse, length[:, 0] / 2


def _border(faces: Int, count: int) -> NDArray[np.bool_]:
    edges, _, uses = edges_of(faces)
    border = np.zeros(count, np.bool_)
    border[edges[uses == 1]] = True
    return border
