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
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, Embedding, FaceModel
from tracker.types import Face, Float32

IBUG_OF_OPENSEE: Final = (
    *range(48), 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, 48, 61, 62, 63, 54, 65, 66, 67,
)  # fmt: skip
"""iBUG's number of each of OpenSeeFace's 66 points."""
_SET = "ibug68"


class FacePoints:
    """Evaluates only those vertices of a face model that the points lie on.

    Raises:
        FaceModelError: the model has no ``ibug68`` embedding.
    """

    def __init__(self, model: FaceModel) -> None:
        self._model = _cut_out(model, model.embedding(_SET))
        self.weight: Float32 = self._model.embedding(_SET).weight[list(IBUG_OF_OPENSEE)]
        """(66,) how far each point can be trusted."""

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
        vertices = model.vertices_head(face.identity, face.params)
        points = model.landmarks(vertices, _SET)[list(IBUG_OF_OPENSEE)]
        joints: Float32 = model.joint_template + model.joint_identity @ face.identity
        return points, joints[[EYE_RIGHT, EYE_LEFT]]


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
