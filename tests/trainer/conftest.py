from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tracker.face_model import FaceModel, load_face_model


@pytest.fixture(scope="session")
def toy_head() -> FaceModel:
    """The built-in head with few parameters and vertices: the lower face and the eyes, quick to take gradients of."""
    model = load_face_model()
    rows = np.flatnonzero((model.skin_weights[:, 2] > 0) | (model.parts == 1) | (model.parts == 2))[::29]
    return replace(
        model,
        template=model.template[rows],
        faces=np.array([[0, 1, 2], [1, 3, 2]], np.int32),
        identity_basis=model.identity_basis[rows][:, :, :4],
        expression_basis=model.expression_basis[rows][:, :, 14:20],
        expression_names=model.expression_names[14:20],
        joint_drive=model.joint_drive[14:20],
        joint_identity=model.joint_identity[:, :, :4],
        skin_weights=model.skin_weights[rows],
        embeddings={},
    )
