"""Levenberg-Marquardt for pose, expression and identity on landmark points (the cost is in ``residuals``).

Expression weights are kept inside their bounds by an active set: what would leave its bound is fixed there and the rest of
the step solved again, where clipping alone would stall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import POSE, Evaluation, FitState, IdentityPrior, Residuals, Target
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_FIRST_DAMPING = 1e-4
_LEAST_DAMPING = 1e-7
_TRIALS = 6


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solve ended with."""

    state: FitState
    identity: Float32
    """(Ni,)."""
    iterations: int
    projected: Float32
    """(L, 2) fitted landmarks in pixels."""
    cost: float
    """The sum that was minimised, at the end."""
    normal_matrix: Float64
    """(P, P) Gauss-Newton normal matrix at the last linearisation: pose, expression, then identity when it was solved."""


class Solver:
    """A reusable workspace for one landmark model and its expression bounds (Ne, 2)."""

    def __init__(self, model: LandmarkModel, bounds: Float32) -> None:
        self.model = model
        self._residuals = Residuals(model)
        self._lower = bounds[:, 0].astype(np.float32)
        self._upper = bounds[:, 1].astype(np.float32)

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
        relinearise: bool = True,
    ) -> Solution:
        """Run up to ``iterations`` accepted steps from ``start``.

        ``expression=False`` moves the pose only. With an ``identity_prior`` identity is solved too, starting from the
        model's current one. Stops early when a step lowers the cost by less than ``tolerance`` of it.
        ``relinearise=False`` keeps the first step's derivatives for the others: as good near the solution, and far cheaper.
        """
        identity = self.model.identity.astype(np.float64)
        best = self._residuals.evaluate(camera, target, start, identity, identity_prior)
        damping, done = _FIRST_DAMPING, 0
        normal, gradient = np.zeros((0, 0)), np.zeros(0)
        while done < iterations:
            if done == 0 or relinearise:
                normal, gradient = self._residuals.linearise(
                    camera, target, best, expression=expression, prior=identity_prior
                )
            else:
                gradient = self._residuals.gradient(target, best, expression=expression, prior=identity_prior)
            # With old derivatives a step that fails means that there is nothing left to gain from them.
            for _ in range(_TRIALS if done == 0 or relinearise else 1):
                step = self._step(normal, gradient, damping, best.state.expression if expression else None)
                trial = self._trial(camera, target, best, step, expression, identity_prior)
                if trial.cost <= best.cost:
                    break
                damping = max(damping, _FIRST_DAMPING) * 10.0
            else:
                if identity_prior is not None:
                    self.model.set_identity(best.identity.astype(np.float32))
                break
            gain = (best.cost - trial.cost) / max(best.cost, 1e-12)
            best, done = trial, done + 1
            damping = max(damping * 0.1, _LEAST_DAMPING)
            if gain < tolerance:
                break
        return Solution(
            state=best.state,
            identity=best.identity.astype(np.float32),
            iterations=done,
            projected=np.ascontiguousarray(target.points - best.residual.T),
            cost=best.cost,
            normal_matrix=normal,
        )

    def marginal(self, camera: Camera, target: Target, state: FitState, identity: Float64) -> tuple[Float64, Float64]:
        """What a frame fitted with ``identity`` (Ni,) says about identity, its pose and expression marginalised out.

        Returns:
            E (Ni, Ni) and E b (Ni,): the frame's own belief is N(b, E^-1). Weights at a bound that they push against are held.
        """
        count = self.model.identity_count
        at = self._residuals.evaluate(camera, target, state, identity, None)
        nothing = IdentityPrior(np.zeros((count, count)), identity)
        normal, gradient = self._residuals.linearise(camera, target, at, expression=True, prior=nothing)
        size = normal.shape[0] - count
        pushed = gradient[POSE:size]
        held = np.zeros(size, bool)
        held[POSE:] = ((state.expression <= self._lower) & (pushed < 0.0)) | (
            (state.expression >= self._upper) & (pushed > 0.0)
        )
        free = np.flatnonzero(~held)
        cross = normal[free, size:]
        solved = np.linalg.solve(normal[np.ix_(free, free)], np.column_stack([cross, gradient[free]]))
        evidence = normal[size:, size:] - cross.T @ solved[:, :count]
        evidence = 0.5 * (evidence + evidence.T)
        step = gradient[size:] - cross.T @ solved[:, count]
        return evidence, evidence @ identity + step

    def _trial(
        self,
        camera: Camera,
        target: Target,
        base: Evaluation,
        step: Float64,
        expression: bool,
        prior: IdentityPrior | None,
    ) -> Evaluation:
        state = replace(
            base.state,
            rotation=matrix_from_rotvec(step[:3]) @ base.state.rotation,
            translation=base.state.translation + step[3:POSE],
        )
        used = POSE
        if expression:
            weights = base.state.expression + step[POSE : POSE + self.model.expression_count].astype(np.float32)
            state = replace(state, expression=np.clip(weights, self._lower, self._upper))
            used += self.model.expression_count
        identity = base.identity
        if prior is not None:
            identity = identity + step[used:]
            self.model.set_identity(identity.astype(np.float32))
        return self._residuals.evaluate(camera, target, state, identity, prior)

    def _step(self, normal: Float64, gradient: Float64, damping: float, expression: Float32 | None) -> Float64:
        """The damped step. Given the ``expression`` it starts from, entries that would leave their bounds are fixed on them."""
        size = gradient.shape[0]
        damped = normal.copy()
        diagonal = np.arange(size)
        damped[diagonal, diagonal] *= 1.0 + damping
        damped[diagonal, diagonal] += 1e-9
        if expression is None:
            return np.asarray(np.linalg.solve(damped, gradient), np.float64)
        span = slice(POSE, POSE + expression.shape[0])
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
