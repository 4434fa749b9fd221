from __future__ import annotations

import pytest
import torch

from trainer.losses.vertex_edge import vertex_edge


def test_sums_squared_edge_differences_over_edges_and_averages_images() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    truth = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]).repeat(2, 1, 1)
    points = truth.clone()
    points[0, 2] += torch.tensor([0.3, 0.4])
    assert float(vertex_edge(points, truth, torch.ones(2, 3), edges)) == pytest.approx(0.25 / 2)
    # Moving the whole face costs nothing.
    assert float(vertex_edge(truth + 0.7, truth, torch.ones(2, 3), edges)) == pytest.approx(0.0, abs=1e-10)


def test_edges_to_unknown_or_distrusted_landmarks_count_less() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    truth = torch.zeros(1, 3, 2)
    truth[0, 2] = torch.nan
    points = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [5.0, 5.0]]], requires_grad=True)
    weight = torch.tensor([[0.5, 1.0, 1.0]])
    loss = vertex_edge(points, truth, weight, edges)
    assert float(loss) == pytest.approx(0.5)
    loss.backward()
    assert points.grad is not None and points.grad.isfinite().all() and (points.grad[0, 2] == 0).all()
