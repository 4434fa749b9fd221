from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trainer.losses.flow import RealNvp
from trainer.losses.gaussian import ngll
from trainer.losses.residual_likelihood import ResidualLogLikelihood


def disturbed_flow(dimensions: int = 2) -> RealNvp:
    torch.manual_seed(1)
    flow = RealNvp(dimensions, hidden=16).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return flow


def ones(truth: Tensor) -> Tensor:
    return torch.ones(truth.shape[:2], dtype=truth.dtype)


def test_ngll_is_the_gaussians_up_to_its_constant() -> None:
    torch.manual_seed(0)
    points, truth, sigma = torch.randn(2, 5, 2), torch.randn(2, 5, 2), torch.rand(2, 5, 2) + 0.1
    exact = -torch.distributions.Normal(points, sigma).log_prob(truth).sum(dim=-1).mean()
    torch.testing.assert_close(ngll(points, sigma, truth, ones(truth)), exact - math.log(2 * math.pi))


def test_ngll_is_least_at_the_true_sigma() -> None:
    torch.manual_seed(0)
    truth = 0.03 * torch.randn(1, 20000, 2)
    log_sigma = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_sigma], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = ngll(torch.zeros_like(truth), log_sigma.exp().expand_as(truth), truth, ones(truth))
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(log_sigma.detach().exp(), truth.square().mean(dim=(0, 1)).sqrt(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_flow_is_invertible_and_its_log_determinant_that_of_the_jacobian(dimensions: int) -> None:
    flow = disturbed_flow(dimensions)
    x = torch.randn(7, dimensions, dtype=torch.float64)
    z, log_det = flow.inverse(x)
    torch.testing.assert_close(flow(z), x)
    for point, expected in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda p: flow.inverse(p)[0], point)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, expected)


def test_flow_is_a_density_and_starts_as_the_gaussian() -> None:
    axis = torch.linspace(-25, 25, 201, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    cell = float(axis[1] - axis[0]) ** 2
    with torch.no_grad():
        total = float(disturbed_flow().log_density(grid).exp().sum()) * cell
    assert total == pytest.approx(1.0, abs=5e-3)
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(RealNvp().double().log_density(grid).detach(), normal.log_prob(grid).sum(dim=-1))


def test_flow_learns_a_skewed_distribution() -> None:
    torch.manual_seed(0)
    samples = torch.stack([torch.randn(1500), torch.randn(1500)], dim=1)
    samples[:, 1] = 0.3 * samples[:, 1] + samples[:, 0] ** 2 - 1
    flow = RealNvp(hidden=32)
    optimiser = torch.optim.Adam(flow.parameters(), lr=5e-3)
    before = float(-flow.log_density(samples).mean().detach())
    for _ in range(120):
        optimiser.zero_grad()
        loss = -flow.log_density(samples).mean()
        loss.backward()
        optimiser.step()
    # Exact: entropies of the two Gaussians that it was made of.
    entropy = 2 * 0.5 * (1 + math.log(2 * math.pi)) + math.log(0.3)
    assert entropy - 0.1 < float(loss) < min(before - 0.8, entropy + 0.3)


@pytest.mark.parametrize("base", ["laplace", "gaussian"])
def test_residual_likelihood_is_its_formula(base: str) -> None:
    torch.manual_seed(0)
    written, anchored = ResidualLogLikelihood(base, anchored=False), ResidualLogLikelihood(base)
    points, truth, sigma = torch.randn(2, 5, 2), torch.randn(2, 5, 2), torch.rand(2, 5, 2) + 0.5
    error = (truth - points) / sigma
    q = torch.distributions.Laplace(0.0, 1.0) if base == "laplace" else torch.distributions.Normal(0.0, 1.0)
    g = torch.distributions.Normal(0.0, 1.0)  # a fresh flow
    exact = (-q.log_prob(error) - g.log_prob(error) + sigma.log()).sum(dim=-1).mean()
    torch.testing.assert_close(written(points, sigma, truth, ones(truth)), exact)
    both = exact + sigma.log().sum(dim=-1).mean()
    torch.testing.assert_close(anchored(points, sigma, truth, ones(truth)), both)


def test_anchored_sigma_is_the_bases_scale_and_the_flow_knows_the_spread() -> None:
    assert _best_sigma("laplace", anchored=True) == pytest.approx(0.05 * math.sqrt(2 / math.pi), rel=0.08)
    sigma, spread = _fitted("gaussian", anchored=True)
    assert sigma == pytest.approx(0.05, rel=0.08)
    assert sigma * spread == pytest.approx(0.05, rel=0.12)


def test_as_written_sigma_drifts_away_from_the_error() -> None:
    assert _best_sigma("gaussian", anchored=False) > 0.1


def _best_sigma(base: str, anchored: bool) -> float:
    return _fitted(base, anchored)[0]


def _fitted(base: str, anchored: bool) -> tuple[float, float]:
    """Sigma that errors of deviation 0.05 lead to, and the flow's spread."""
    torch.manual_seed(0)
    truth = 0.05 * torch.randn(1, 500, 2)
    loss = ResidualLogLikelihood(base, anchored, RealNvp(hidden=16))
    log_sigma = torch.full((), math.log(0.05), requires_grad=True)
    optimiser = torch.optim.Adam([{"params": loss.parameters(), "lr": 3e-3}, {"params": [log_sigma], "lr": 3e-2}])
    for _ in range(150):
        optimiser.zero_grad()
        loss(torch.zeros_like(truth), log_sigma.exp().expand_as(truth), truth, ones(truth)).backward()
        optimiser.step()
    return float(log_sigma.detach().exp()), float(loss.spread().mean())


@pytest.mark.parametrize("loss", [ngll, ResidualLogLikelihood()])
def test_unknown_landmarks_neither_count_nor_break_gradients(loss: object) -> None:
    torch.manual_seed(0)
    truth = torch.randn(2, 4, 2)
    points = (truth + 0.1).requires_grad_()
    sigma = torch.full_like(truth, 0.3).requires_grad_()
    expected = loss(points[:, :3], sigma[:, :3], truth[:, :3], ones(truth[:, :3]))  # type: ignore[operator]
    truth = truth.clone()
    truth[:, 3, 0] = torch.nan
    value = loss(points, sigma, truth, ones(truth))  # type: ignore[operator]
    torch.testing.assert_close(value, expected)
    value.backward()
    assert points.grad is not None and points.grad.isfinite().all()
    assert (points.grad[:, 3] == 0).all() and (points.grad[:, :3] != 0).all()
    nothing = loss(points, sigma, torch.full_like(truth, torch.nan), ones(truth))  # type: ignore[operator]
    assert float(nothing) == 0.0


def test_weights_count() -> None:
    truth = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    points, sigma = torch.zeros_like(truth), torch.ones_like(truth)
    weight = torch.tensor([[3.0, 1.0]])
    assert float(ngll(points, sigma, truth, weight)) == pytest.approx(0.25)


def test_shapes_and_names_are_checked() -> None:
    with pytest.raises(ValueError, match="expected points and truth"):
        ngll(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.zeros(1, 3, 2), torch.ones(1, 3))
    with pytest.raises(ValueError, match="expected base out of"):
        ResidualLogLikelihood("cauchy")
