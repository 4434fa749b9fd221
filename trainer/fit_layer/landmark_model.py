"""The face model at its landmark points in torch, with derivatives: ``tracker.fitting.landmark_model``, batched.

Per joint the bases are folded with skinning and barycentric weights, so that a point's skinning stays exact (see there). Given
the joints' turns the points are linear in identity and expression; the turns are nine numbers, whose derivatives forward
mode gives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, NECK, FaceModel
from trainer.image_formation.rotations import matrix_from_rotvec

_JOINTS = (JAW, EYE_LEFT, EYE_RIGHT)


class TorchLandmarkModel(nn.Module):
    """Landmark points of a face model; the neck stays at rest.

    Args:
        model: any face model in the neutral format.
        landmark_set: one of its embeddings, or points given as ``(faces (L,), barycentric (L, 3))``.
        dtype: of all results.
    """

    template: Tensor
    expression_basis: Tensor
    identity_basis: Tensor
    correctives: Tensor
    joint_template: Tensor
    joint_expression: Tensor
    joint_identity: Tensor
    joint_correctives: Tensor
    drive: Tensor

    def __init__(
        self,
        model: FaceModel,
        landmark_set: str | tuple[NDArray[np.integer], NDArray[np.floating]],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if isinstance(landmark_set, str):
            embedding = model.embedding(landmark_set)
            faces, barycentric = embedding.faces, embedding.barycentric.astype(np.float64)
        else:
            faces, barycentric = landmark_set[0].astype(np.int32), landmark_set[1].astype(np.float64)
        corners = model.faces[faces]
        correctives = _correctives(model)

        def keep(name: str, values: NDArray[np.floating]) -> None:
            self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)

        def at_points(weight: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
            folded: NDArray[np.float64] = np.einsum("lc,lcd...->ld...", weight, values[corners].astype(np.float64))
            return folded

        keep("template", at_points(barycentric, model.template))
        keep("expression_basis", at_points(barycentric, model.expression_basis))
        keep("identity_basis", at_points(barycentric, model.identity_basis))
        keep("correctives", at_points(barycentric, correctives))
        arms: dict[str, list[NDArray[np.float64]]] = {
            "template": [],
            "expression": [],
            "identity": [],
            "correctives": [],
        }
        still = np.zeros((len(model.joint_template), 3, model.expression_count))
        for joint in _JOINTS:
            weight = barycentric * model.skin_weights[corners, joint]
            share = weight.sum(axis=1)
            moves = model.joint_expression if model.joint_expression is not None else still
            arms["template"].append(at_points(weight, model.template) - share[:, None] * model.joint_template[joint])
            arms["identity"].append(
                at_points(weight, model.identity_basis) - share[:, None, None] * model.joint_identity[joint]
            )
            arms["expression"].append(at_points(weight, model.expression_basis) - share[:, None, None] * moves[joint])
            arms["correctives"].append(at_points(weight, correctives))
        for name, parts in arms.items():
            keep(f"joint_{name}", np.stack(parts))
        keep("drive", model.joint_drive[:, list(_JOINTS)].astype(np.float64).transpose(1, 2, 0))

    @property
    def count(self) -> int:
        """L, the number of points."""
        return len(self.template)

    @property
    def expression_count(self) -> int:
        return int(self.expression_basis.shape[2])

    @property
    def identity_count(self) -> int:
        return int(self.identity_basis.shape[2])

    def forward(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Points (B, L, 3) in head axes, metres, for weights (B, Ne) and coefficients (B, Ni)."""
        return self._posed(expression, identity)(self._turns(expression))

    def with_jacobians(self, expression: Tensor, identity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points (B, L, 3) and their derivatives by expression (B, L, 3, Ne) and identity (B, L, 3, Ni)."""
        turns = self._turns(expression)
        posed = self._posed(expression, identity)
        # Nine directions for a whole batch: each face depends on its own turns only.
        directions = torch.eye(9, dtype=turns.dtype, device=turns.device).view(9, 1, 3, 3).expand(-1, *turns.shape)

        def along(direction: Tensor) -> Tensor:
            change: Tensor = torch.func.jvp(posed, (turns,), (direction,))[1]
            return change

        by_turn = torch.func.vmap(along)(directions)
        by_expression = self.expression_basis + self._moving_share(turns, self.joint_expression)
        by_expression = by_expression + torch.einsum("kblx,ke->blxe", by_turn, self.drive.reshape(9, -1))
        return posed(turns), by_expression, self.identity_basis + self._moving_share(turns, self.joint_identity)

    def _turns(self, expression: Tensor) -> Tensor:
        """(B, 3, 3) axis-angle of jaw and eyes."""
        return torch.einsum("be,jxe->bjx", expression, self.drive)

    def _posed(self, expression: Tensor, identity: Tensor) -> Callable[[Tensor], Tensor]:
        """The points as a function of the joints' turns (B, 3, 3)."""
        shaped = self.template + _applied(self.expression_basis, expression) + _applied(self.identity_basis, identity)
        arms = (
            self.joint_template + _applied(self.joint_expression, expression) + _applied(self.joint_identity, identity)
        )

        def at(turns: Tensor) -> Tensor:
            change = self._change(turns)
            features = change.reshape(len(turns), -1)
            lever = arms
            points = shaped
            if self.correctives.shape[2]:
                points = points + _applied(self.correctives, features)
                lever = lever + _applied(self.joint_correctives, features)
            return points + torch.einsum("bjxy,bjly->blx", change, lever)

        return at

    def _moving_share(self, turns: Tensor, basis: Tensor) -> Tensor:
        """(B, L, 3, K) sum over joints of (R - I) times a basis (3, L, 3, K)."""
        return torch.einsum("bjxy,jlyk->blxk", self._change(turns), basis)

    def _change(self, turns: Tensor) -> Tensor:
        return matrix_from_rotvec(turns) - torch.eye(3, dtype=turns.dtype, device=turns.device)


def _applied(basis: Tensor, weights: Tensor) -> Tensor:
    """A basis (..., K) times weights (B, K): (B, ...)."""
    product = weights @ basis.reshape(-1, basis.shape[-1]).T
    return product.view(len(weights), *basis.shape[:-1])


def _correctives(model: FaceModel) -> NDArray[np.float32]:
    """(V, 3, 27) of jaw and eyes; (V, 3, 0) for models without."""
    if model.pose_correctives is None:
        return np.zeros((model.vertex_count, 3, 0), np.float32)
    columns = [9 * (joint - NECK) + entry for joint in _JOINTS for entry in range(9)]
    chosen: NDArray[np.float32] = model.pose_correctives[:, :, columns]
    return chosen
