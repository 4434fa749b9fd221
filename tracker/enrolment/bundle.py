"""One identity for many views: poses and expressions of all of them, and the shape that they share.

    J = s sum_k data_k(pose_k, expression_k, b) + P |b|^2,    s = min(1, cap / K)

Each round fits every view with the present identity, marginalises its pose and expression out of its normal matrix, and solves
for the identity that all of them ask for: Gauss-Newton on what is left (variable projection).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.fitting.residuals import FitState, Target
from tracker.fitting.solver import Solver

Float64 = NDArray[np.float64]

_CONVERGED_M = 2e-6


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the person, as the fit sees it."""

    camera: Camera
    target: Target
    state: FitState
    """Where its fit starts, or ended."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What all views together say."""

    identity: Float64
    """(Ni,)."""
    evidence: Float64
    """(Ni, Ni) information of the views, shared errors discounted; the population's not in it."""
    views: tuple[View, ...]
    cost: float
    """J at the end."""
    rounds: int
    converged: bool


def solve_bundle(
    solver: Solver,
    views: Sequence[View],
    *,
    prior_weight: float,
    information_cap: float,
    identity: Float64 | None = None,
    rounds: int = 20,
    on_round: Callable[[], object] = lambda: None,
) -> Bundle:
    """Solve for the identity of ``views`` (at least one), from ``identity`` (Ni,) or the mean face.

    Raises:
        numpy.linalg.LinAlgError: the views cannot be fitted at all.
    """
    count = solver.model.identity_count
    best = np.zeros(count) if identity is None else identity.astype(np.float64)
    share = min(1.0, information_cap / len(views))
    done, converged = 0, False
    while True:
        solver.model.set_identity(best.astype(np.float32))
        before = solver.model.neutral_points()
        evidence, pull = np.zeros((count, count)), np.zeros(count)
        cost = prior_weight * float(best @ best)
        fitted = []
        for view in views:
            solution = solver.solve(view.camera, view.target, view.state, iterations=6 if done == 0 else 3)
            fitted.append(replace(view, state=solution.state))
            part, pulled = solver.marginal(view.camera, view.target, solution.state, best)
            evidence += share * part
            pull += share * pulled
            cost += share * solution.cost
        views = fitted
        on_round()
        if converged or done == rounds:
            return Bundle(best, evidence, tuple(views), cost, done, converged)
        best = np.asarray(np.linalg.solve(prior_weight * np.eye(count) + evidence, pull), np.float64)
        solver.model.set_identity(best.astype(np.float32))
        moved = solver.model.neutral_points() - before
        converged = float(np.sqrt((moved**2).sum(axis=1).mean())) < _CONVERGED_M
        done += 1
