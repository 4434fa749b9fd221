"""The 68 + 2 points that OpenSeeFace sends, from the fitted face model.

OpenSeeFace has 66 face points: the 68 of iBUG without the inner corners of the mouth (60, 64), and with the outer corners moved
behind the lips. Its point table says which is which; readers that take the numbers for iBUG's get the mouth wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, Embedding, FaceModel
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face, FaceParams, Float32

IBUG_OF_OPENSEE: Final = (
    *range(48), 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, 48, 61, 62, 63, 54, 65, 66, 67,
)  # fmt: skip
"""iBUG's number of each of OpenSeeFace's 66 points."""
_SET = "ibug68"
_ROWS = np.array(IBUG_OF_OPENSEE)
_IDENTITY = np.eye(3)
_MOST_IDENTITIES = 32


class FacePoints:
    """Evaluates only what the points need of a face model.

    Raises:
        FaceModelError: the model has no ``ibug68`` embedding.
    """

    def __init__(self, model: FaceModel) -> None:
        self._model = _cut_out(model, model.embedding(_SET))
        self._is_plain = not model.control_count and model.pose_correctives is None and model.joint_expression is None
        self.weight: Float32 = self._model.embedding(_SET).weight[_ROWS]
        """(66,) how far each point can be trusted."""
        self._shaped: dict[tuple[int, int], _Shaped] = {}

    def __call__(self, face: Face) -> tuple[Float32, Float32]:
        """The face points (66, 3) and the centres of right and left eye (2, 3) of ``face``, in head axes, metres.

        Raises:
            FaceModelError: the parameters are not this model's.
        """
        model = self._model
        if len(face.params.expression) != len(model.published_names) or len(face.identity) != model.identity_count:
            raise FaceModelError(
                f"face model '{model.name}' has {len(model.published_names)} expressions and {model.identity_count} "
                f"identity coefficients, the stream {len(face.params.expression)} and {len(face.identity)}"
            )
        shaped = self._shaped_as(face)
        if self._is_plain and not face.params.neck.any():
            return shaped(face.params), shaped.eyes
        vertices = model.vertices_head(face.identity, face.params)
        return model.landmarks(vertices, _SET)[_ROWS], shaped.eyes

    def _shaped_as(self, face: Face) -> _Shaped:
        """The points of the identity of ``face``; identities change rarely."""
        key = (face.id, face.identity_version)
        if key not in self._shaped:
            if len(self._shaped) >= _MOST_IDENTITIES:
                self._shaped.clear()
            self._shaped[key] = _Shaped(self._model, face.identity)
        return self._shaped[key]


class _Shaped:
    """The points of one identity as a linear function of the expression, and of the turns of jaw and eyes.

    With b the barycentric weight and w the skinning weight of a corner, a point is
    ``sum b v + sum over joints (R - I) sum b w (v - J)``; both sums are linear in the expression.
    """

    def __init__(self, model: FaceModel, identity: Float32) -> None:
        embedding = model.embedding(_SET)
        corners, share = model.faces[embedding.faces][_ROWS], embedding.barycentric[_ROWS]
        vertices = model.neutral_vertices(identity)
        joints: Float32 = model.joint_template + model.joint_identity @ identity
        self.eyes: Float32 = joints[[EYE_RIGHT, EYE_LEFT]]
        self._template: Float32 = np.einsum("lc,lcd->ld", share, vertices[corners])
        self._expression = _flat(share, model.expression_basis[corners])
        self._parts = []
        for joint in (JAW, EYE_LEFT, EYE_RIGHT):
            turned = share * model.skin_weights[corners, joint]
            rows = np.flatnonzero(turned.any(axis=1))
            if rows.size:
                arms = np.einsum("lc,lcd->ld", turned[rows], vertices[corners[rows]] - joints[joint])
                self._parts.append((joint, rows, arms, _flat(turned[rows], model.expression_basis[corners[rows]])))

    def __call__(self, params: FaceParams) -> Float32:
        """Points (66, 3) in head axes, metres."""
        points: Float32 = self._template + (self._expression @ params.expression).reshape(-1, 3)
        turns = {JAW: params.jaw, EYE_LEFT: params.eyes[:3], EYE_RIGHT: params.eyes[3:]}
        for joint, rows, arms, basis in self._parts:
            turn = matrix_from_rotvec(turns[joint]) - _IDENTITY
            points[rows] += (arms + (basis @ params.expression).reshape(-1, 3)) @ turn.T.astype(np.float32)
        return points


def _flat(share: Float32, basis: Float32) -> Float32:
    """Weights (L, 3) and a basis at corners (L, 3, 3, Ne) -> (3 L, Ne)."""
    mixed: Float32 = np.einsum("lc,lcdn->ldn", share, basis)
    return np.ascontiguousarray(mixed.reshape(-1, basis.shape[3]))


def _cut_out(model: FaceModel, embedding: Embedding) -> FaceModel:
    """``model`` with the vertices of the landmark triangles only."""
    corners = model.faces[embedding.faces]
    rows, flat = np.unique(corners, return_inverse=True)
    triangles: NDArray[np.int32] = flat.reshape(corners.shape).astype(np.int32)
    correctives = model.pose_correctives
    return replace(
        model,
        template=model.template[rows],
        faces=triangles,
        identity_basis=np.ascontiguousarray(model.identity_basis[rows]),
        expression_basis=np.ascontiguousarray(model.expression_basis[rows]),
        skin_weights=model.skin_weights[rows],
        pose_correctives=None if correctives is None else np.ascontiguousarray(correctives[rows]),
        embeddings={_SET: replace(embedding, faces=np.arange(len(triangles), dtype=np.int32))},
    )
