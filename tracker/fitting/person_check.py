"""Is this the person we know? Shape evidence of the last moments, weighed between the known person and anybody.

Frames leave what they say about identity (``Solver.marginal``). Their evidence is as likely under one Gaussian or another: the
belief about the known person, or the population. Landmark errors are correlated, so evidence counts by a fraction.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

PROBE_PERIOD: Final = 4
"""Frames between probes: neighbours say the same."""
_PROBES: Final = 12
_TRUST: Final = 0.5
# Log likelihood ratio below which it is somebody else. Windows of one person reach 2.3 at the worst, 4.9 or more in 95 of
# 100; four of five other people stay below (docs/accuracy.md).
_LEAST_RATIO: Final = 5.0


class PersonCheck:
    """Takes probes until it has a verdict."""

    def __init__(self, information: Float64, mean: Float64, prior_weight: float) -> None:
        """The known person: information (Ni, Ni) without the population's, mean (Ni,), and the population's weight."""
        count = mean.shape[0]
        self._known = np.eye(count) + _TRUST * information / prior_weight
        self._mean = mean
        self._prior_weight = prior_weight
        self._evidence: Float64 = np.zeros((count, count))
        self._pull: Float64 = np.zeros(count)
        self._probes = 0

    def add(self, evidence: Float64, pull: Float64) -> bool | None:
        """Add what a frame says, (Ni, Ni) and (Ni,). True: the known person; False: another; None: not yet."""
        self._evidence += evidence
        self._pull += pull
        self._probes += 1
        return None if self._probes < _PROBES else self.log_ratio() > _LEAST_RATIO

    def log_ratio(self) -> float:
        """How much likelier the evidence is with the known person than with anybody, natural logarithm."""
        scale = _TRUST / self._prior_weight
        evidence, pull = scale * self._evidence, scale * self._pull
        nobody = np.zeros_like(self._mean)
        return _log_evidence(self._known, self._mean, evidence, pull) - _log_evidence(
            np.eye(nobody.shape[0]), nobody, evidence, pull
        )


def _log_evidence(information: Float64, mean: Float64, evidence: Float64, pull: Float64) -> float:
    """Log probability of Gaussian evidence under a Gaussian belief, up to what all beliefs share."""
    total = information + evidence
    start = information @ mean
    joint = start + pull
    return 0.5 * float(
        np.linalg.slogdet(information)[1]
        - np.linalg.slogdet(total)[1]
        + joint @ np.linalg.solve(total, joint)
        - mean @ start
    )
