"""Predictors: from a backbone's features to q of (3.9), four numbers a landmark (Simic 2022, section 3.3.2)."""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracker.errors import ConfigError
from trainer.networks.landmark_mesh import LandmarkMesh, Sampling
from trainer.networks.spirals import spirals

DECODERS: Final = ("linear", "mlp", "spiral")
OUTPUTS: Final = 4
"""x, y, and what becomes the sigma of each."""


class LinearDecoder(nn.Module):
    """One linear map."""

    def __init__(self, channels: int, landmarks: int) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.map = nn.Linear(channels, landmarks * OUTPUTS)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) to (B, L, 4)."""
        return cast(Tensor, self.map(features)).reshape(-1, self.landmarks, OUTPUTS)


class MlpDecoder(nn.Module):
    """Two hidden layers with GELU between linear maps."""

    def __init__(self, channels: int, landmarks: int, hidden: int = 512) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, landmarks * OUTPUTS),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) to (B, L, 4)."""
        return cast(Tensor, self.layers(features)).reshape(-1, self.landmarks, OUTPUTS)


class MeshUpsampling(nn.Module):
    """Q_u of (3.10): features of a coarser mesh to a finer one."""

    def __init__(self, sampling: Sampling) -> None:
        super().__init__()
        self.register_buffer("corners", torch.as_tensor(sampling.corners).flatten(), persistent=False)
        self.register_buffer("share", torch.as_tensor(sampling.share)[..., None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, coarse, F) to (B, fine, F)."""
        corners, share = cast(Tensor, self.corners), cast(Tensor, self.share)
        gathered = features.index_select(1, corners).reshape(-1, len(share), 3, features.shape[2])
        return (gathered * share).sum(dim=2)


class SpiralConvolution(nn.Module):
    """A linear map of the features along each vertex's spiral (3.11)."""

    def __init__(self, inputs: int, outputs: int, order: Tensor) -> None:
        super().__init__()
        self.vertices, self.along = order.shape[0], order.shape[1] * inputs
        self.register_buffer("order", order.flatten(), persistent=False)
        self.map = nn.Linear(self.along, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, inputs) to (B, V, outputs)."""
        along = features.index_select(1, cast(Tensor, self.order))
        return cast(Tensor, self.map(along.reshape(-1, self.vertices, self.along)))


class SpiralDecoder(nn.Module):
    """SpiralNet++ as a decoder: features on the coarsest mesh, then level by level upsampling, spiral convolution, ELU
    (3.10 to 3.12), and one spiral convolution more to the outputs.

    Args:
        channels: of the backbone's features.
        mesh: of the landmark set, with at least one coarser level.
        widths: features per vertex on the coarsest level, then after each upsampling; the last repeats where there are more
            levels. The thesis gives none.
        length: of the spirals.
        dilation: of the spirals on the finest level, where it fits; coarser ones reach far anyway.
    """

    def __init__(
        self,
        channels: int,
        mesh: LandmarkMesh,
        widths: tuple[int, ...] = (128, 96, 64, 32),
        length: int = 9,
        dilation: int = 2,
    ) -> None:
        super().__init__()
        self.coarsest, self.width = len(mesh.levels[-1].vertices), widths[0]
        self.spread = nn.Linear(channels, self.coarsest * self.width)
        self.upsamplings = nn.ModuleList()
        self.convolutions = nn.ModuleList()
        before = self.width
        depth = len(mesh.samplings)
        for step, level in enumerate(reversed(range(depth))):
            finer = mesh.levels[level]
            spacing = dilation if level == 0 else 1
            order = torch.as_tensor(spirals(finer.vertices, finer.faces, length, spacing))
            after = widths[min(step + 1, len(widths) - 1)]
            self.upsamplings.append(MeshUpsampling(mesh.samplings[level]))
            self.convolutions.append(SpiralConvolution(before, after, order))
            before = after
        finest = torch.as_tensor(spirals(mesh.levels[0].vertices, mesh.levels[0].faces, length))
        self.last = SpiralConvolution(before, OUTPUTS, finest)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) to (B, L, 4)."""
        x = functional.elu(self.spread(features)).reshape(-1, self.coarsest, self.width)
        for upsampling, convolution in zip(self.upsamplings, self.convolutions, strict=True):
            x = functional.elu(convolution(upsampling(x)))
        return cast(Tensor, self.last(x))


def make_decoder(name: str, channels: int, mesh: LandmarkMesh) -> nn.Module:
    """A decoder by name: ``linear``, ``mlp`` or ``spiral``. Raises ``ConfigError`` for any other."""
    if name == "linear":
        return LinearDecoder(channels, mesh.count)
    if name == "mlp":
        return MlpDecoder(channels, mesh.count)
    if name == "spiral":
        return SpiralDecoder(channels, mesh)
    raise ConfigError(f"expected a decoder out of {', '.join(DECODERS)}, got '{name}'")
