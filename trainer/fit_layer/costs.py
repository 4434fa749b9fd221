"""The cost terms as Theseus has them; importing this imports Theseus.

Reprojection with confidences as weights (the thesis, equations 3.39 and 3.40); what expression weights exceed their bounds by.
L2 regularisers are Theseus's own ``Difference``.
"""

from __future__ import annotations

import theseus as th
import torch
from torch import Tensor

from trainer.fit_layer.landmark_model import TorchLandmarkModel
from trainer.image_formation.rotations import matrix_from_rotvec

_LEAST_DEPTH_M = 0.02
_SMALL = 1e-6


class Reprojection(th.CostFunction):  # type: ignore[misc]
    """C (L - Pi(R(turn) R0 V_L(b, e) + t)), flattened (B, 2 L).

    Args:
        model: the points.
        pose: ``turn`` (3) as axis-angle on top of ``start``, and ``translation`` (3).
        shape: ``expression`` (Ne) and ``identity`` (Ni); unknowns unless ``rigid``.
        observed: ``landmarks`` (2 L), ``confidence`` (L), ``camera`` (3: focal, centre), ``start`` (9).
        rigid: only the pose is unknown.
        cauchy: see ``FitConfig``.
        weight: of the whole term.
        name: unique in the objective.
    """

    def __init__(
        self,
        model: TorchLandmarkModel,
        pose: tuple[th.Vector, th.Vector],
        shape: tuple[th.Vector, th.Vector],
        observed: tuple[th.Variable, th.Variable, th.Variable, th.Variable],
        rigid: bool,
        cauchy: float,
        weight: th.CostWeight,
        name: str | None = None,
    ) -> None:
        super().__init__(weight, name=name)
        self.turn, self.translation = pose
        self.expression, self.identity = shape
        self.landmarks, self.confidence, self.camera, self.start = observed
        unknown, given = ["turn", "translation"], ["landmarks", "confidence", "camera", "start"]
        (given if rigid else unknown).extend(["expression", "identity"])
        self.register_optim_vars(unknown)
        self.register_aux_vars(given)
        self._model, self._rigid, self._cauchy = model, rigid, cauchy

    def error(self) -> Tensor:
        residual, _, _ = self._residual(self._model(self.expression.tensor, self.identity.tensor))
        return _robust(residual, self._cauchy).flatten(1)

    def jacobians(self) -> tuple[list[Tensor], Tensor]:
        expression, identity = self.expression.tensor, self.identity.tensor
        if self._rigid:
            points, by_shape = self._model(expression, identity), []
        else:
            points, by_expression, by_identity = self._model.with_jacobians(expression, identity)
            by_shape = [by_expression, by_identity]
        residual, arm, place = self._residual(points)
        # Reweighted: the true gradient, and a normal matrix that stays positive far from the solution, where that of the robust
        # residuals themselves says nothing about how large a step should be.
        trust = _trust(residual, self._cauchy)
        x, y, z = place.unbind(2)
        scale = self.camera.tensor[:, 0, None] * self.confidence.tensor / z
        zero = torch.zeros_like(scale)
        by_place = -torch.stack(
            [torch.stack([scale, zero, -scale * x / z], 2), torch.stack([zero, scale, -scale * y / z], 2)], 2
        )
        by_place = trust[..., None] * by_place
        rotation = self._rotation()
        by_head = by_place @ rotation[:, None]
        by_turn = by_place @ _turned(arm, self.turn.tensor)
        parts = [by_turn, by_place, *(by_head @ basis for basis in by_shape)]
        return [part.flatten(1, 2) for part in parts], (trust * residual).flatten(1)

    def dim(self) -> int:
        return 2 * self._model.count

    def _rotation(self) -> Tensor:
        rotation: Tensor = matrix_from_rotvec(self.turn.tensor) @ self.start.tensor.view(-1, 3, 3)
        return rotation

    def _residual(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weighted residuals (B, L, 2), points turned (B, L, 3), points in camera axes (B, L, 3)."""
        arm = points @ self._rotation().transpose(1, 2)
        place = arm + self.translation.tensor[:, None]
        place = torch.cat([place[:, :, :2], place[:, :, 2:].clamp(min=_LEAST_DEPTH_M)], 2)
        camera = self.camera.tensor
        projected = place[:, :, :2] / place[:, :, 2:] * camera[:, None, :1] + camera[:, None, 1:]
        observed = self.landmarks.tensor.view(len(self.landmarks.tensor), -1, 2)
        return (observed - projected) * self.confidence.tensor[:, :, None], arm, place

    def _copy_impl(self, new_name: str | None = None) -> Reprojection:
        return Reprojection(
            self._model,
            (self.turn.copy(), self.translation.copy()),
            (self.expression.copy(), self.identity.copy()),
            (self.landmarks.copy(), self.confidence.copy(), self.camera.copy(), self.start.copy()),
            self._rigid,
            self._cauchy,
            self.weight.copy(),
            new_name,
        )


class Bounds(th.CostFunction):  # type: ignore[misc]
    """(B, Ne): how far each weight lies outside its bounds (2 Ne: lower, then upper), below them negative."""

    def __init__(self, values: th.Vector, bounds: th.Variable, weight: th.CostWeight, name: str | None = None) -> None:
        super().__init__(weight, name=name)
        self.values, self.bounds = values, bounds
        self.register_optim_vars(["values"])
        self.register_aux_vars(["bounds"])

    def error(self) -> Tensor:
        lower, upper = self.bounds.tensor.chunk(2, dim=1)
        values = self.values.tensor
        beyond: Tensor = (values - upper).clamp(min=0.0) - (lower - values).clamp(min=0.0)
        return beyond

    def jacobians(self) -> tuple[list[Tensor], Tensor]:
        error = self.error()
        return [torch.diag_embed((error != 0.0).to(error))], error

    def dim(self) -> int:
        return int(self.values.dof())

    def _copy_impl(self, new_name: str | None = None) -> Bounds:
        return Bounds(self.values.copy(), self.bounds.copy(), self.weight.copy(), new_name)


def _turned(arm: Tensor, turn: Tensor) -> Tensor:
    """(B, L, 3, 3) derivative of R(turn) p by ``turn``: -[R p]x times the left Jacobian of the rotation (B, 3)."""
    x, y, z = arm.unbind(2)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, z, -y, -z, zero, x, y, -x, zero], -1).view(*arm.shape, 3)
    return cross @ _left_jacobian(turn)[:, None]


def _left_jacobian(turn: Tensor) -> Tensor:
    """(B, 3, 3) left Jacobian of SO(3) at axis-angle (B, 3), by its series near zero."""
    x, y, z = turn.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    squared = (turn * turn).sum(1)
    small = squared < _SMALL
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24.0, (1.0 - angle.cos()) / safe)[:, None, None]
    second = torch.where(small, 1.0 / 6.0 - squared / 120.0, (angle - angle.sin()) / (safe * angle))[:, None, None]
    eye = torch.eye(3, dtype=turn.dtype, device=turn.device)
    return eye + first * cross + second * (cross @ cross)


def _robust(residual: Tensor, bend: float) -> Tensor:
    """Residuals (B, L, 2) shrunk so that their squares sum to Cauchy's function, c^2 log(1 + |r|^2 / c^2)."""
    if bend == 0.0:
        return residual
    limit = bend**2
    squared = (residual * residual).sum(2, keepdim=True)
    small = squared < _SMALL * limit
    safe = torch.where(small, torch.full_like(squared, limit), squared)
    return residual * torch.where(
        small, 1.0 - squared / (4.0 * limit), (limit * torch.log1p(safe / limit) / safe).sqrt()
    )


def _trust(residual: Tensor, bend: float) -> Tensor:
    """(B, L, 1) square roots of the weights of iteratively reweighted least squares, 1 / (1 + |r|^2 / c^2)."""
    if bend == 0.0:
        return torch.ones_like(residual[:, :, :1])
    return (1.0 + (residual * residual).sum(2, keepdim=True) / bend**2).rsqrt()
