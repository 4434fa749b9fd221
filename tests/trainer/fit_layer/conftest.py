from __future__ import annotations

from dataclasses import replace

import pytest

from tracker.face_model import FaceModel, load_face_model


@pytest.fixture(scope="session")
def small_model() -> FaceModel:
    """The built-in head with six shapes and eight expressions (of mouth and jaw), and its 68 landmarks."""
    model = load_face_model()
    kept = slice(14, 22)
    return replace(
        model,
        identity_basis=model.identity_basis[:, :, :6],
        joint_identity=model.joint_identity[:, :, :6],
        expression_basis=model.expression_basis[:, :, kept],
        expression_names=model.expression_names[kept],
        expression_bounds=model.expression_bounds[kept],
        joint_drive=model.joint_drive[kept],
        albedo_basis=None,
        arkit_map=None,
        arkit_explained=None,
    )
