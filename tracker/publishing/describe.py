"""From a face model to what subscribers are told about it."""

from __future__ import annotations

from tracker.face_model.model import JOINT_NAMES, FaceModel
from tracker.publishing.schema import ModelDescription


def describe_model(model: FaceModel) -> ModelDescription:
    """The description of ``model`` for the schema message."""
    return ModelDescription(
        name=model.name,
        sha256=model.sha256,
        identity_dim=model.identity_count,
        expression_names=model.published_names,
        joint_names=JOINT_NAMES,
    )
