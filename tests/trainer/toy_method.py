"""A method of one convolution: finds a bright square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engines import InputHeader, NetworkHeader, OutputHeader
from trainer.data.batch import Batch, unknown
from trainer.data.stream import Stream
from trainer.method import Method, Streams, Table
from trainer.settings import Settings, ranged


@dataclass(frozen=True)
class ToySettings(Settings):
    batch_size: int = ranged(4, 1, 64)
    width: int = ranged(4, 1, 64)
    dropout: float = ranged(0.2, 0.0, 0.9)
    kind: Literal["plain", "broken", "idle"] = "plain"


class SquareStream(Stream):
    landmark_set = "square"
    face_model = "none"
    crop_size = 16

    def __init__(self, batch_size: int, seed: int, length: int | None = None) -> None:
        self.batch_size, self.seed, self.length = batch_size, seed, length

    def batch(self, index: int) -> Batch:
        random = np.random.default_rng((self.seed, index))
        blank = unknown(self.batch_size, 1, 1, self.crop_size)
        corners = random.integers(0, self.crop_size - 4, (self.batch_size, 2))
        for image, (x, y) in zip(blank.image, corners, strict=True):
            image[:, y : y + 4, x : x + 4] = 1.0
        points = torch.zeros(self.batch_size, 1, 3)
        points[:, 0, :2] = torch.from_numpy((corners + 2) / self.crop_size)
        return replace(
            blank, points=points, weight=torch.ones(self.batch_size, 1), source=("square",) * self.batch_size
        )


class _Network(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(width * 64, 2),
        )

    def forward(self, image: Tensor) -> Tensor:
        points: Tensor = self.layers(image).float()
        return points[:, None]


class _Idle(nn.Module):
    """Weights that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def forward(self, values: Tensor) -> Tensor:
        return values


class _Deployed(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.network(image),)


class Toy(Method[ToySettings]):
    name = "toy"
    summary = "finds a bright square"
    settings_class = ToySettings
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"loop": {"steps": 6, "evaluate_every": 3, "checkpoint_every": 2, "log_every": 2}}
    }
    best = ("all", "error")

    def build(self) -> nn.Module:
        network = _Network(self.settings.width, self.settings.dropout)
        if self.settings.kind == "idle":
            network.layers.append(_Idle())
        return network

    def streams(self) -> Streams:
        size = self.settings.batch_size
        return Streams(SquareStream(size, self.seed), SquareStream(size, self.seed + 1_000_000, length=2))

    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        loss = (module(batch.image) - batch.points[..., :2]).square().mean()
        return {"loss": loss * (float("nan") if self.settings.kind == "broken" else 1.0), "double": 2.0 * loss}

    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        errors = [(module(b.image) - b.points[..., :2]).norm(dim=-1) for b in batches]
        return Table({"all": {"error": float(torch.cat(errors).mean())}}, notes=("fractions of the crop",))

    def points(self, module: nn.Module, batch: Batch) -> Tensor:
        found: Tensor = module(batch.image)
        return found

    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        header = NetworkHeader(
            name="toy",
            task="encoder",
            landmark_set="square",
            inputs=(InputHeader("image", size=16),),
            outputs=(OutputHeader("points", "points", "fraction"),),
        )
        return _Deployed(module), header
