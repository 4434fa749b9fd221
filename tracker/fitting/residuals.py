"""What a fit minimises, and its derivatives.

    (1/k) sum_l w_l rho(|r_l|^2 / sigma_l^2)  +  sum_e ((e - m_e) / s_e)^2  +  (e - m)^T C (e - m)  +  (b - b0)^T L (b - b0)

over pose (rotation and translation), expression e and, when asked, identity b. r is the reprojection error in pixels and
rho Cauchy's function; k is the number of landmarks that err together: their errors are far from independent, and a
fit that believes them to be explains noise with shape.

The network's relative depth is left out: as a term of this sum it took a degree off the pitch error of rendered heads and cost
expression correlation, identity and position on them (docs/accuracy.md). It serves the cold start only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.fitting.landmark_model import LandmarkModel

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

POSE = 6
_MIN_DEPTH_M = 0.02
_CAUCHY = 3.0


@dataclass(frozen=True, slots=True)
class FitState:
    """The unknowns of one face in one frame."""

    rotation: Float64
    """(3, 3) head axes to camera axes."""
    translation: Float64
    """(3,) metres."""
    expression: Float32
    """(Ne,)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the fit is pulled to."""

    points: Float32
    """(L, 2) observed landmarks in pixels."""
    precision: Float32
    """(L,) weight / (k sigma^2) in 1/px^2, with the embedding's trust in it."""
    expression_mean: Float32
    """(Ne,)."""
    expression_sigma: Float32
    """(Ne,)."""
    expression_coupling: Float64
    """(Ne, Ne) information on combinations of weights, around the same mean."""


@dataclass(frozen=True, slots=True)
class IdentityPrior:
    """A Gaussian belief about identity: information matrix (Ni, Ni) and mean (Ni,)."""

    information: Float64
    mean: Float64


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Residuals at one state."""

    state: FitState
    identity: Float64
    points: Float32
    """(3, L) in the camera frame."""
    residual: Float32
    """(2, L) observed minus projected, pixels."""
    cost: float


class Residuals:
    """Evaluates and linearises the cost of one landmark model; a reusable workspace."""

    def __init__(self, model: LandmarkModel) -> None:
        self.model = model
        count = model.count
        # One per number of unknowns, so that rows lie side by side in memory.
        self._jacobians: dict[int, Float32] = {}
        self._scratch = np.empty((count, max(model.expression_count, model.identity_count)), np.float32)
        self._weight = np.ones(count, np.float32)
        self._jacobian = np.zeros((2 * count, 0), np.float32)

    def evaluate(
        self, camera: Camera, target: Target, state: FitState, identity: Float64, prior: IdentityPrior | None
    ) -> Evaluation:
        """Residuals and cost of ``state`` with the identity that the landmark model currently has."""
        head = self.model.evaluate(state.expression)
        points = state.rotation.astype(np.float32) @ head + state.translation.astype(np.float32)[:, None]
        np.maximum(points[2], _MIN_DEPTH_M, out=points[2])
        focal = np.float32(camera.focal_px)
        residual = np.empty((2, self.model.count), np.float32)
        residual[0] = target.points[:, 0] - (focal * points[0] / points[2] + np.float32(camera.cx))
        residual[1] = target.points[:, 1] - (focal * points[1] / points[2] + np.float32(camera.cy))
        squared = (residual[0] ** 2 + residual[1] ** 2) * target.precision
        offset_e = state.expression - target.expression_mean
        away = offset_e / target.expression_sigma
        cost = float(np.log1p(squared * (1.0 / _CAUCHY**2)).sum()) * _CAUCHY**2 + float(away @ away)
        cost += float(offset_e @ target.expression_coupling @ offset_e)
        if prior is not None:
            offset = identity - prior.mean
            cost += float(offset @ prior.information @ offset)
        return Evaluation(state, identity, points, residual, cost)

    def linearise(
        self, camera: Camera, target: Target, at: Evaluation, *, expression: bool, prior: IdentityPrior | None
    ) -> tuple[Float64, Float64]:
        """Gauss-Newton's normal matrix (P, P) and descent gradient (P,): pose, then expression, then identity."""
        model, state, points = self.model, at.state, at.points
        size = POSE + (model.expression_count if expression else 0) + (model.identity_count if prior is not None else 0)
        if size not in self._jacobians:
            self._jacobians[size] = np.empty((2 * model.count, size), np.float32)
        self._jacobian = self._jacobians[size]
        squared = (at.residual[0] ** 2 + at.residual[1] ** 2) * target.precision
        weight = np.sqrt(target.precision / (1.0 + squared * (1.0 / _CAUCHY**2)))
        scale = np.float32(camera.focal_px) / points[2] * weight
        rotation = state.rotation.astype(np.float32)
        # Derivatives with respect to a point in the camera frame: scale (1, 0, -x/z) and scale (0, 1, -y/z).
        tx, ty = -points[0] / points[2] * scale, -points[1] / points[2] * scale
        along = (
            scale[:, None] * rotation[0] + tx[:, None] * rotation[2],
            scale[:, None] * rotation[1] + ty[:, None] * rotation[2],
        )
        self._pose_columns(points - state.translation.astype(np.float32)[:, None], scale, tx, ty)
        used = POSE
        if expression:
            self._project(model.expression_jacobian(state.expression), along, used)
            used += model.expression_count
        if prior is not None:
            self._project(model.identity_jacobian(state.expression), along, used)
            used += model.identity_count
        self._weight = weight
        normal = (self._jacobian.T @ self._jacobian).astype(np.float64)
        if expression:
            span = slice(POSE, POSE + model.expression_count)
            normal[span, span] += target.expression_coupling
            diagonal = np.arange(POSE, POSE + model.expression_count)
            normal[diagonal, diagonal] += 1.0 / target.expression_sigma.astype(np.float64) ** 2
        if prior is not None:
            block = slice(used - model.identity_count, used)
            normal[block, block] += prior.information
        return normal, self.gradient(target, at, expression=expression, prior=prior)

    def gradient(self, target: Target, at: Evaluation, *, expression: bool, prior: IdentityPrior | None) -> Float64:
        """Descent gradient (P,) at ``at`` with the derivatives and robust weights of the last linearisation."""
        weighted = np.concatenate([at.residual[0] * self._weight, at.residual[1] * self._weight])
        gradient: Float64 = (self._jacobian.T @ weighted).astype(np.float64)
        if expression:
            away = at.state.expression.astype(np.float64) - target.expression_mean
            pull = away / target.expression_sigma.astype(np.float64) ** 2 + target.expression_coupling @ away
            gradient[POSE : POSE + self.model.expression_count] -= pull
        if prior is not None:
            gradient[gradient.shape[0] - self.model.identity_count :] -= prior.information @ (at.identity - prior.mean)
        return gradient

    def _pose_columns(self, arm: Float32, scale: Float32, tx: Float32, ty: Float32) -> None:
        """d residual rows / d (rotation, translation); a rotation by delta moves a point by delta cross arm."""
        count = self.model.count
        rows_u, rows_v = self._jacobian[:count], self._jacobian[count:]
        rows_u[:, 0], rows_u[:, 1], rows_u[:, 2] = tx * arm[1], scale * arm[2] - tx * arm[0], -scale * arm[1]
        rows_v[:, 0], rows_v[:, 1], rows_v[:, 2] = ty * arm[1] - scale * arm[2], -ty * arm[0], scale * arm[0]
        rows_u[:, 3], rows_u[:, 4], rows_u[:, 5] = scale, 0.0, tx
        rows_v[:, 3], rows_v[:, 4], rows_v[:, 5] = 0.0, scale, ty

    def _project(self, basis: Float32, along: tuple[Float32, Float32], column: int) -> None:
        count, width = self.model.count, basis.shape[2]
        scratch = self._scratch[:, :width]
        for rows, direction in zip((slice(0, count), slice(count, None)), along, strict=True):
            out = self._jacobian[rows, column : column + width]
            np.multiply(basis[0], direction[:, 0:1], out=out)
            for axis in (1, 2):
                np.multiply(basis[axis], direction[:, axis : axis + 1], out=scratch)
                out += scratch
