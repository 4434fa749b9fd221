"""The network together with what only training needs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trainer.losses.gaussian import ngll
from trainer.losses.residual_likelihood import ResidualLogLikelihood
from trainer.losses.vertex_edge import vertex_edge
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings
from trainer.networks.dense_landmark_network import DenseLandmarkNetwork, Prediction
from trainer.networks.landmark_mesh import LandmarkMesh


class TrainedLandmarks(nn.Module):
    """A dense landmark network and its loss, whose flow is trained along.

    Raises:
        ConfigError: the settings name what does not exist.
    """

    def __init__(self, settings: DenseLandmarkSettings, mesh: LandmarkMesh, network: DenseLandmarkNetwork) -> None:
        super().__init__()
        self.network = network
        self.vertex_edge = settings.vertex_edge
        likely = settings.loss != "ngll"
        self.likelihood = ResidualLogLikelihood(settings.base, settings.anchored) if likely else None
        self.register_buffer("edges", torch.as_tensor(mesh.edges()), persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S) to landmarks and sigmas as the loss means them."""
        return cast(Prediction, self.network(image))

    def losses(self, image: Tensor, truth: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """``loss``, and its parts by name.

        Args:
            image: (B, 3, S, S).
            truth: (B, L, 2) fractions of the crop's side, NaN where unknown.
            weight: (B, L) in 0..1.
        """
        points, sigma = self(image)
        if self.likelihood is None:
            likelihood = ngll(points, sigma, truth, weight)
        else:
            likelihood = self.likelihood(points, sigma, truth, weight)
        if not self.vertex_edge:
            return {"loss": likelihood}
        edges = vertex_edge(points, truth, weight, cast(Tensor, self.edges))
        return {"loss": likelihood + self.vertex_edge * edges, "likelihood": likelihood, "edges": edges}

    def spread(self) -> Tensor:
        """(2,) by which sigmas become standard deviations: 1 for a Gaussian's, the flow's own spread for ``anchored`` ResLL.
        As (3.21) is written nothing is known, and this is 1.
        """
        if self.likelihood is None or not self.likelihood.anchored:
            return torch.ones(2, device=next(self.parameters()).device)
        return self.likelihood.spread()
