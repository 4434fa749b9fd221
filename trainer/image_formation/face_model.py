"""The parametric face model in torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, NECK, ROOT, Embedding, FaceModel
from trainer.image_formation.rotations import matrix_from_rotvec


class TorchFaceModel(nn.Module):
    """``tracker.face_model.FaceModel``, batched and with gradients: the same vertices to a micrometre.

    Linear shape and expression, then linear blend skinning of neck, jaw and eyes (FLAME, Li 2017, equations 1-3).

    Args:
        model: any face model in the neutral format.
        dtype: of the buffers and so of all results.
    """

    template: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    joint_template: Tensor
    joint_identity: Tensor
    joint_drive: Tensor
    skin_weights: Tensor
    faces: Tensor
    joint_expression: Tensor | None
    pose_correctives: Tensor | None

    def __init__(self, model: FaceModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.source = model
        count = model.vertex_count

        def keep(name: str, values: NDArray[np.generic] | None) -> None:
            self.register_buffer(
                name, None if values is None else torch.tensor(np.asarray(values), dtype=dtype), persistent=False
            )

        keep("template", model.template)
        # Bases as matrices whose product with coefficients is the displacement.
        keep("identity_basis", model.identity_basis.reshape(count * 3, -1).T)
        keep("expression_basis", model.expression_basis.reshape(count * 3, -1).T)
        keep("joint_template", model.joint_template)
        keep("joint_identity", model.joint_identity)
        keep("joint_drive", model.joint_drive)
        keep("joint_expression", model.joint_expression)
        keep("skin_weights", model.skin_weights)
        keep(
            "pose_correctives",
            None if model.pose_correctives is None else model.pose_correctives.reshape(count * 3, -1).T,
        )
        self.register_buffer("faces", torch.tensor(model.faces, dtype=torch.int64), persistent=False)
        # Joints move few vertices: only those are turned.
        self._moved = {
            joint: torch.tensor(np.flatnonzero(model.skin_weights[:, joint])) for joint in (JAW, EYE_LEFT, EYE_RIGHT)
        }

    def joint_rotations(self, expression: Tensor) -> Tensor:
        """Axis-angle (B, J, 3) that weights (B, Ne) give to the joints."""
        return torch.einsum("be,ejk->bjk", expression, self.joint_drive)

    def forward(
        self, identity: Tensor, expression: Tensor, joints: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Vertices (B, V, 3) in head axes, metres.

        Args:
            identity: (B, Ni).
            expression: (B, Ne) all weights, controls included.
            joints: (B, J, 3) axis-angle of every joint (the root's is ignored, as the head's pose is applied outside); what the
                expression drives, if None.
            offsets: (B, V, 3) added to the relaxed shape before it is posed.
        """
        batch, count = len(identity), len(self.template)
        shaped = self.template + (identity @ self.identity_basis + expression @ self.expression_basis).view(
            batch, count, 3
        )
        if offsets is not None:
            shaped = shaped + offsets
        turned = self.joint_rotations(expression) if joints is None else joints
        matrices = matrix_from_rotvec(turned)
        eye = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
        if self.pose_correctives is not None:
            features = (matrices[:, [NECK, JAW, EYE_LEFT, EYE_RIGHT]] - eye).reshape(batch, -1)
            shaped = shaped + (features @ self.pose_correctives).view(batch, count, 3)
        pivots = self.joint_template + torch.einsum("jkn,bn->bjk", self.joint_identity, identity)
        if self.joint_expression is not None:
            pivots = pivots + torch.einsum("jkn,bn->bjk", self.joint_expression, expression)
        moved = torch.zeros_like(shaped)
        for joint, rows in self._moved.items():
            index = rows.to(shaped.device)
            turn = (matrices[:, joint] - eye).transpose(1, 2)
            share = self.skin_weights[index, joint, None]
            moved = moved.index_add(1, index, ((shaped[:, index] - pivots[:, joint, None]) @ turn) * share)
        if joints is None and not self.joint_drive[:, NECK].any():
            return shaped + moved
        neck = matrices[:, NECK].transpose(1, 2)
        carried = 1.0 - self.skin_weights[:, ROOT, None]
        bent = ((shaped - pivots[:, NECK, None]) @ (neck - eye)) * carried
        return shaped + bent + moved @ neck


class PointSet(nn.Module):
    """Points of a landmark set on meshes."""

    corners: Tensor
    barycentric: Tensor

    def __init__(self, faces: NDArray[np.int32], embedding: Embedding, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("corners", torch.tensor(faces[embedding.faces], dtype=torch.int64), persistent=False)
        self.register_buffer("barycentric", torch.tensor(embedding.barycentric, dtype=dtype), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Vertex values (B, V, C) at the points, (B, N, C)."""
        return (values[:, self.corners] * self.barycentric[None, :, :, None]).sum(2)
