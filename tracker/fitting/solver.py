"""Levenberg-Marquardt for pose, expression and identity on landmark points.

Minimises  (1/k) sum_l w_l rho(|r_l|^2 / sigma_l^2) + sum_e ((e - m_e) / s_e)^2 + (b - b0)^T L (b - b0)
over pose (rotation and translation), expression e and, when asked, identity b. r is the reprojection error in pixels, rho
Cauchy's function, k the number of landmarks that err together: their errors are far from independent, and a fit that
believes them to be explains noise with shape.

Expression weights are kept inside their bounds by an active set: what would leave its bound is fixed there and the rest of
the step solved again, where clipping alone would stall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.fitting.landmark_model import LandmarkModel
from tracker.rotations import matrix_from_rotvec

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
    """(L,) weight / sigma^2 in 1/px^2, with the embedding's trust and the correlation already in it."""
    expression_mean: Float32
    """(Ne,)."""
    expression_sigma: Float32
    """(Ne,)."""


@dataclass(frozen=True, slots=True)
class IdentityPrior:
    """A Gaussian belief about identity: information matrix (Ni, Ni) and mean (Ni,)."""

    information: Float64
    mean: Float64


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solve ended with."""

    state: FitState
    identity: Float32
    """(Ni,)."""
    cost: float
    iterations: int
    projected: Float32
    """(L, 2) fitted landmarks in pixels."""
    normal_matrix: Float64
    """(P, P) Gauss-Newton normal matrix at the last linearisation: pose, expression, then identity when it was solved."""
    gradient: Float64
    """(P,) half the gradient there."""


class Solver:
    """A reusable workspace for one landmark model and its expression bounds (Ne, 2)."""

    def __init__(self, model: LandmarkModel, bounds: Float32) -> None:
        self.model = model
        self._lower = bounds[:, 0].astype(np.float32)
        self._upper = bounds[:, 1].astype(np.float32)
        count, ne, ni = model.count, model.expression_count, model.identity_count
        self._columns = POSE + ne + ni
        self._jacobian = np.zeros((2 * count, self._columns), np.float32)
        self._scratch = np.empty((count, max(ne, ni)), np.float32)

    def solve(
        self,
        camera: Camera,
        target: Target,
        start: FitState,
        *,
        iterations: int,
        identity_prior: IdentityPrior | None = None,
        expression: bool = True,
        tolerance: float = 1e-3,
    ) -> Solution:
        """Run up to ``iterations`` accepted steps from ``start``.

        ``expression=False`` moves the pose only. With an ``identity_prior`` identity is solved too, starting from the
        model's current one. Stops early when a step lowers the cost by less than ``tolerance`` of it.
        """
        model = self.model
        ne = model.expression_count
        solve_identity = identity_prior is not None
        size = POSE + (ne if expression else 0) + (model.identity_count if solve_identity else 0)
        state, identity = start, model.identity.astype(np.float64)
        head = model.evaluate(state.expression)
        residual, depth_points, cost = self._residual(camera, target, state, head, identity, identity_prior)
        damping, done = 1e-4, 0
        normal, gradient = np.zeros((size, size)), np.zeros(size)
        while done < iterations:
            normal, gradient = self._linearise(
                camera, target, state, head, residual, depth_points, expression, identity, identity_prior
            )
            accepted = False
            for _ in range(6):
                step = self._step(normal, gradient, damping, state.expression, expression)
                trial, trial_identity = self._apply(state, identity, step, expression, solve_identity)
                if solve_identity:
                    model.set_identity(trial_identity.astype(np.float32))
                trial_head = model.evaluate(trial.expression)
                trial_residual, trial_points, trial_cost = self._residual(
                    camera, target, trial, trial_head, trial_identity, identity_prior
                )
                if trial_cost <= cost:
                    accepted = True
                    break
                damping = max(damping, 1e-4) * 10.0
            if not accepted:
                if solve_identity:
                    model.set_identity(identity.astype(np.float32))
                break
            gain = (cost - trial_cost) / max(cost, 1e-12)
            state, identity, head = trial, trial_identity, trial_head
            residual, depth_points, cost = trial_residual, trial_points, trial_cost
            damping = max(damping * 0.1, 1e-7)
            done += 1
            if gain < tolerance:
                break
        return Solution(
            state=state,
            identity=identity.astype(np.float32),
            cost=cost,
            iterations=done,
            projected=np.ascontiguousarray((target.points.T - residual).T),
            normal_matrix=normal,
            gradient=gradient,
        )

    def _residual(
        self,
        camera: Camera,
        target: Target,
        state: FitState,
        head: Float32,
        identity: Float64,
        identity_prior: IdentityPrior | None,
    ) -> tuple[Float32, Float32, float]:
        """Residual (2, L) observed minus projected, camera points (3, L), and the total cost."""
        points = state.rotation.astype(np.float32) @ head + state.translation.astype(np.float32)[:, None]
        np.maximum(points[2], _MIN_DEPTH_M, out=points[2])
        residual = np.empty((2, self.model.count), np.float32)
        focal = np.float32(camera.focal_px)
        residual[0] = target.points[:, 0] - (focal * points[0] / points[2] + np.float32(camera.cx))
        residual[1] = target.points[:, 1] - (focal * points[1] / points[2] + np.float32(camera.cy))
        squared = (residual[0] ** 2 + residual[1] ** 2) * target.precision
        robust = float(np.log1p(squared * (1.0 / _CAUCHY**2)).sum()) * _CAUCHY**2
        away = (state.expression - target.expression_mean) / target.expression_sigma
        cost = robust + float(away @ away)
        if identity_prior is not None:
            offset = identity - identity_prior.mean
            cost += float(offset @ identity_prior.information @ offset)
        return residual, points, cost

    def _linearise(
        self,
        camera: Camera,
        target: Target,
        state: FitState,
        head: Float32,
        residual: Float32,
        points: Float32,
        expression: bool,
        identity: Float64,
        identity_prior: IdentityPrior | None,
    ) -> tuple[Float64, Float64]:
        """Normal matrix and half gradient (descent direction = solve(normal, gradient))."""
        model, count, ne = self.model, self.model.count, self.model.expression_count
        squared = (residual[0] ** 2 + residual[1] ** 2) * target.precision
        weight = np.sqrt(target.precision / (1.0 + squared * (1.0 / _CAUCHY**2)))
        scale = np.float32(camera.focal_px) / points[2] * weight
        # Rows of the projection derivative in the camera frame: scale * (1, 0, -x/z) and scale * (0, 1, -y/z).
        tx, ty = -points[0] / points[2] * scale, -points[1] / points[2] * scale
        jacobian = self._jacobian
        rows_u, rows_v = jacobian[:count], jacobian[count:]
        arm = points - state.translation.astype(np.float32)[:, None]
        # d x / d rotation = delta cross arm.
        rows_u[:, 0], rows_u[:, 1], rows_u[:, 2] = tx * arm[1], scale * arm[2] - tx * arm[0], -scale * arm[1]
        rows_v[:, 0], rows_v[:, 1], rows_v[:, 2] = ty * arm[1] - scale * arm[2], -ty * arm[0], scale * arm[0]
        rows_u[:, 3], rows_u[:, 4], rows_u[:, 5] = scale, 0.0, tx
        rows_v[:, 3], rows_v[:, 4], rows_v[:, 5] = 0.0, scale, ty
        rotation = state.rotation.astype(np.float32)
        along_u = scale[:, None] * rotation[0] + tx[:, None] * rotation[2]
        along_v = scale[:, None] * rotation[1] + ty[:, None] * rotation[2]
        used = POSE
        if expression:
            self._project(model.expression_jacobian(state.expression), along_u, along_v, used)
            used += ne
        if identity_prior is not None:
            self._project(model.identity_jacobian(state.expression), along_u, along_v, used)
            used += model.identity_count
        active = jacobian[:, :used]
        weighted = np.concatenate([residual[0] * weight, residual[1] * weight])
        normal = (active.T @ active).astype(np.float64)
        gradient = (active.T @ weighted).astype(np.float64)
        if expression:
            inverse = 1.0 / target.expression_sigma.astype(np.float64) ** 2
            span = np.arange(POSE, POSE + ne)
            normal[span, span] += inverse
            gradient[span] -= inverse * (state.expression - target.expression_mean)
        if identity_prior is not None:
            block = slice(used - model.identity_count, used)
            normal[block, block] += identity_prior.information
            gradient[block] -= identity_prior.information @ (identity - identity_prior.mean)
        return normal, gradient

    def _project(self, basis: Float32, along_u: Float32, along_v: Float32, column: int) -> None:
        count, width = self.model.count, basis.shape[2]
        scratch = self._scratch[:, :width]
        for rows, along in ((slice(0, count), along_u), (slice(count, 2 * count), along_v)):
            out = self._jacobian[rows, column : column + width]
            np.multiply(basis[0], along[:, 0:1], out=out)
            for axis in (1, 2):
                np.multiply(basis[axis], along[:, axis : axis + 1], out=scratch)
                out += scratch

    def _step(
        self, normal: Float64, gradient: Float64, damping: float, expression: Float32, with_expression: bool
    ) -> Float64:
        """The damped step; entries that would leave the expression bounds are fixed on them."""
        size = gradient.shape[0]
        damped = normal.copy()
        diagonal = np.arange(size)
        damped[diagonal, diagonal] *= 1.0 + damping
        damped[diagonal, diagonal] += 1e-9
        if not with_expression:
            return np.asarray(np.linalg.solve(damped, gradient), np.float64)
        ne = expression.shape[0]
        span = slice(POSE, POSE + ne)
        lowest = np.full(size, -np.inf)
        highest = np.full(size, np.inf)
        lowest[span] = self._lower - expression
        highest[span] = self._upper - expression
        step = np.zeros(size)
        # At a bound with the gradient pushing outwards: stays there.
        fixed = ((lowest >= -1e-7) & (gradient < 0.0)) | ((highest <= 1e-7) & (gradient > 0.0))
        for _ in range(4):
            free = np.flatnonzero(~fixed)
            right = gradient[free]
            held = np.flatnonzero(fixed & (step != 0.0))
            if held.size:
                right = right - damped[np.ix_(free, held)] @ step[held]
            step[free] = np.linalg.solve(damped[np.ix_(free, free)], right)
            leaving = ~fixed & ((step < lowest) | (step > highest))
            if not leaving.any():
                break
            np.clip(step, lowest, highest, out=step, where=leaving)
            fixed |= leaving
        clipped: Float64 = np.clip(step, lowest, highest)
        return clipped

    def _apply(
        self, state: FitState, identity: Float64, step: Float64, expression: bool, solve_identity: bool
    ) -> tuple[FitState, Float64]:
        ne = self.model.expression_count
        moved = replace(
            state,
            rotation=matrix_from_rotvec(step[:3]) @ state.rotation,
            translation=state.translation + step[3:POSE],
        )
        used = POSE
        if expression:
            weights = state.expression + step[POSE : POSE + ne].astype(np.float32)
            moved = replace(moved, expression=np.clip(weights, self._lower, self._upper))
            used += ne
        return moved, identity + step[used:] if solve_identity else identity
