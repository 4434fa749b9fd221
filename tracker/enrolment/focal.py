"""Can the clip tell the focal length? Perspective of a turning head: each focal length is tried with a bundle of its own.

The cost over the logarithm of the focal length, with a prior that says what cameras are like, is close to a parabola: its
vertex is the estimate, its curvature the confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

RATIOS: Final = tuple(float(ratio) for ratio in np.exp(np.linspace(math.log(0.5), math.log(2.6), 9)))
"""Focal lengths tried, over the default one, sqrt(W^2 + H^2)."""
PRIOR_SIGMA: Final = 0.3
"""Standard deviation of log(focal / default) over cameras: horizontal fields of view from 35 to 80 degrees at 16:9."""
_OBSERVED_SIGMA: Final = 0.2


@dataclass(frozen=True, slots=True)
class FocalEstimate:
    """What the profile says."""

    ratio: float
    """Focal length over the default one."""
    sigma: float
    """Standard deviation of its logarithm."""
    costs: tuple[float, ...]
    """-2 log probability at ``RATIOS``, without the prior, the lowest 0."""

    @property
    def observed(self) -> bool:
        """Whether the clip itself told: the prior alone has a sigma of 0.3."""
        inside = 0 < int(np.argmin(self.costs)) < len(self.costs) - 1
        return inside and self.sigma < _OBSERVED_SIGMA


def estimate_focal(cost_at: Callable[[float], float]) -> FocalEstimate:
    """Profile ``cost_at(ratio)``, which is -2 log probability of the best fit with that focal length."""
    logs = np.log(RATIOS)
    costs = np.array([cost_at(ratio) for ratio in RATIOS])
    costs -= costs.min()
    total = costs + (logs / PRIOR_SIGMA) ** 2
    middle = int(np.clip(total.argmin(), 1, len(RATIOS) - 2))
    near = slice(middle - 1, middle + 2)
    bend, slope, _ = np.polyfit(logs[near] - logs[middle], total[near], 2)
    # Never less certain than the prior: what bends the other way is no information.
    bend = max(float(bend), 1.0 / PRIOR_SIGMA**2)
    vertex = float(np.clip(-slope / (2.0 * bend), logs[0] - logs[middle], logs[-1] - logs[middle]))
    at = float(np.clip(logs[middle] + vertex, logs[0], logs[-1]))
    return FocalEstimate(math.exp(at), 1.0 / math.sqrt(bend), tuple(float(cost) for cost in costs))
