"""From a face model to what subscribers are told about it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker.errors import PublishError
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


def check_stream_model(schema: Mapping[str, Any], model: FaceModel) -> None:
    """Raise ``PublishError`` unless a schema message tells of ``model``, to the byte."""
    told = schema["model"]
    if told["sha256"] != model.sha256:
        raise PublishError(
            f"the stream's face model is {told['name']} (sha256 {told['sha256'][:8]}), not {model.name} "
            f"({model.sha256[:8]}): name its file with --face-model"
        )
