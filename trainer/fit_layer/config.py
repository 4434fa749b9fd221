"""Settings of the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.settings import Settings, ranged

Backward = Literal["exact", "implicit", "truncated", "unroll", "dlm"]


@dataclass(frozen=True)
class FitConfig(Settings):
    """How landmarks are fitted. The defaults of counts are the thesis's (section 4.5); it does not state its L2 weights."""

    rigid_iterations: int = ranged(20, low=0)
    """Levenberg-Marquardt iterations of the first stage, rotation and translation only (equation 3.41)."""
    iterations: int = ranged(20, low=1)
    """Of the second stage, everything (equation 3.42)."""
    identity_weight: float = ranged(1.0, low=0.0)
    """Of the L2 regulariser: w^2 |b|^2 beside |C r|^2 with r in standard deviations when C = 1 / sigma."""
    expression_weight: float = ranged(1.0, low=0.0)
    bounds_weight: float = ranged(30.0, low=0.0)
    """Of what expression weights exceed their bounds by; 0 lets them go anywhere, as the thesis's FLAME."""
    cauchy: float = ranged(0.0, low=0.0)
    """Where Cauchy's robust function bends, in standard deviations, as in ``tracker.fitting``; 0 for plain squares."""
    damping: float = ranged(1e-3, low=1e-7)
    """First damping of Levenberg-Marquardt; it adapts from there."""
    backward: Backward = "exact"
    """How gradients come through. ``exact``: the implicit function theorem at the solution with the full Hessian, for faces that
    have converged; ``implicit``: the same with Gauss-Newton's Hessian, off by a share that grows with the residuals;
    ``truncated``: a few iterations more, from the solution; ``unroll``: all iterations, which alone reaches the initial
    parameters; ``dlm``: direct loss minimisation."""
    backward_iterations: int = ranged(5, low=1)
    """Of ``truncated``."""
