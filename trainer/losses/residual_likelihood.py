"""ResLL, the residual log-likelihood (Li 2021; Simic 2022, eq. 3.18 to 3.21). With sigmas out of an exponential instead of
a sigmoid it is the thesis's ResLL-Exp: the loss is the same, the network differs.
"""

from __future__ import annotations

import math
from typing import Final, cast

import torch
from torch import Tensor, nn

from trainer.losses.flow import RealNvp
from trainer.losses.known import known, weighted_mean

BASES: Final = ("laplace", "gaussian")
_SAMPLES: Final = 4096


class ResidualLogLikelihood(nn.Module):
    """-log Q - log G(e) + log sigma with e = (truth - points) / sigma, G learned by a flow (3.21).

    s of (3.20) depends on the flow, although (3.21) drops it as a constant. As written, with Q a density of e, sigma is
    therefore not determined: a wider sigma with a narrower G always scores better. Li 2021's published program takes Q as a
    density of the points, which counts log sigma a second time. Both halves are then likelihoods of their own, the one of Q
    holds sigma in place, and the flow learns what is left: ``anchored``, the default here.

    Args:
        base: Q, ``laplace`` as Li 2021 choose or ``gaussian``.
        anchored: Q as a density of the points; otherwise of e, as (3.21) is written.
        flow: of G; a fresh one without it.

    Raises:
        ValueError: an unknown base.
    """

    def __init__(self, base: str = "laplace", anchored: bool = True, flow: RealNvp | None = None) -> None:
        super().__init__()
        if base not in BASES:
            raise ValueError(f"expected base out of {', '.join(BASES)}, got '{base}'")
        self.base = base
        self.anchored = anchored
        self.flow = flow or RealNvp()

    def forward(self, points: Tensor, sigma: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
        """The loss, mean over landmarks; arguments as ``ngll``'s."""
        there = known(points, truth, weight)
        error = (there.truth - points) / sigma
        log_sigma = sigma.log().sum(dim=-1)
        value = log_sigma - self._log_base(error) - self.flow.log_density(error)
        return weighted_mean(value + log_sigma if self.anchored else value, there.weight)

    @torch.no_grad()
    def spread(self) -> Tensor:
        """(D,) root mean square of e under the flow. When ``anchored``, a sigma times this is a standard deviation."""
        generator = torch.Generator().manual_seed(0)
        normal = torch.randn(_SAMPLES, self.flow.dimensions, generator=generator)
        device = next(self.flow.parameters()).device
        return cast(Tensor, self.flow(normal.to(device))).square().mean(dim=0).sqrt()

    def _log_base(self, error: Tensor) -> Tensor:
        if self.base == "laplace":
            return (-error.abs() - math.log(2)).sum(dim=-1)
        return (-0.5 * error**2 - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
