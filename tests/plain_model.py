"""A source model as it is, evaluated without registration."""

from __future__ import annotations

import numpy as np

from tracker.face_model import FaceModel
from tracker.face_model.importing.source_model import SourceModel


def as_face_model(source: SourceModel) -> FaceModel:
    """The model's own numbers; what its file does not have is empty."""
    v, ne, ni = source.vertex_count, source.expression_count, source.identity_count
    return FaceModel(
        name=source.name,
        version=source.version,
        licence=source.licence,
        sha256=source.sha256,
        template=source.template,
        faces=source.faces,
        identity_basis=source.identity_basis,
        expression_basis=source.expression_basis,
        expression_names=source.expression_names,
        expression_bounds=source.expression_bounds,
        joint_template=source.joint_template if source.joint_template is not None else np.zeros((5, 3), np.float32),
        joint_identity=source.joint_identity if source.joint_identity is not None else np.zeros((5, 3, ni), np.float32),
        joint_expression=source.joint_expression,
        skin_weights=source.skin_weights if source.skin_weights is not None else np.zeros((v, 5), np.float32),
        joint_drive=np.zeros((ne, 5, 3), np.float32),
        mirror=np.arange(v, dtype=np.int32),
        skin_mask=np.ones(v, np.float32),
        uv=np.zeros((v, 2), np.float32),
        uv_faces=source.faces,
        parts=np.zeros(v, np.int8),
        part_names=("skin",),
        regions=np.zeros((v, 1), np.bool_),
        region_names=("face",),
        embeddings=source.embeddings,
        pose_correctives=source.pose_correctives,
        albedo_mean=source.albedo_mean,
        albedo_basis=source.albedo_basis,
    )
