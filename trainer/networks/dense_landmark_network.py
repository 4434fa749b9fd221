"""The dense landmark network: a backbone and a decoder, from a crop to landmarks with a sigma each (Simic 2022, 3.3)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn

from tracker.errors import ConfigError
from trainer.networks.decoders import make_decoder
from trainer.networks.landmark_mesh import LandmarkMesh

SIGMAS: Final = ("exp", "sigmoid")
SIGMA_AT_START: Final = 0.05
"""Sides of the crop: about how far a face that is drawn at the mean lies off."""
_FACE_WIDTH: Final = 0.65
_QUIET: Final = 0.05
_LARGEST_LOG: Final = 4.0


class Prediction(NamedTuple):
    """Landmarks and how sure of them the network is."""

    points: Tensor
    """(B, L, 2) fractions of the crop's side, (0, 0) its upper left corner."""
    sigma: Tensor
    """(B, L, 2) in the same unit, above 0."""


class DenseLandmarkNetwork(nn.Module):
    """Predicts where the landmarks of a dense set lie in a crop.

    Inside, landmarks lie in -0.5..0.5 as in the thesis (section 4.5); the decoder adds to the mean face, drawn from the
    front, so that training does not begin with learning what a face is.

    Args:
        backbone: what turns crops (B, 3, S, S) into features (B, ``channels``), such as ``make_backbone`` makes.
        channels: of its features.
        decoder: one of ``DECODERS``.
        mesh: of the landmark set.
        sigma: ``exp`` (ResLL-Exp; any sigma above 0) or ``sigmoid`` (0..1).

    Raises:
        ConfigError: a name is unknown.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        decoder: str,
        mesh: LandmarkMesh,
        sigma: str = "exp",
    ) -> None:
        super().__init__()
        if sigma not in SIGMAS:
            raise ConfigError(f"expected sigma to be {' or '.join(SIGMAS)}, got '{sigma}'")
        self.sigma = sigma
        self.backbone = backbone
        self.decoder = make_decoder(decoder, channels, mesh)
        _begin_quietly(self.decoder)
        self.register_buffer("mean_face", _drawn(mesh), persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S) RGB in 0..1 to landmarks and sigmas."""
        raw = cast(Tensor, self.decoder(self.backbone(image))).float()
        points = cast(Tensor, self.mean_face) + raw[..., :2] + 0.5
        if self.sigma == "exp":
            # Far beyond any face; keeps a stray gradient step from becoming infinite.
            sigma = (raw[..., 2:] + math.log(SIGMA_AT_START)).clamp(-_LARGEST_LOG * 3, _LARGEST_LOG).exp()
        else:
            sigma = (raw[..., 2:] + math.log(SIGMA_AT_START / (1.0 - SIGMA_AT_START))).sigmoid()
        return Prediction(points, sigma)


def confidence(sigma: Tensor) -> Tensor:
    """Confidences out of sigmas of any shape: one minus them, at least 0 (3.22)."""
    return (1.0 - sigma).clamp(min=0.0)


def _begin_quietly(decoder: nn.Module) -> None:
    """Let a decoder begin near zero, so that the mean face is what an untrained network shows."""
    last = [module for module in decoder.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight *= _QUIET
        last.bias.zero_()


def _drawn(mesh: LandmarkMesh) -> Tensor:
    points = torch.as_tensor(mesh.levels[0].vertices[:, :2]) * torch.tensor([1.0, -1.0])
    low, high = points.amin(dim=0), points.amax(dim=0)
    return (points - (low + high) / 2) * (_FACE_WIDTH / (high[0] - low[0]))
