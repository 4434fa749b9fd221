"""The method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engines.header import InputHeader, NetworkHeader, OutputHeader
from trainer.data.batch import Batch
from trainer.method import Table
from trainer.methods.encoder.crops import CropMethod, CropSettings, take_weights
from trainer.methods.encoder.finish import finish
from trainer.methods.encoder.network import CROP
from trainer.methods.glance.losses import losses
from trainer.methods.glance.measures import Measures
from trainer.methods.glance.network import GlanceNetwork
from trainer.settings import ranged


@dataclass(frozen=True)
class GlanceSettings(CropSettings):
    """What is trained, on what."""

    trunk_threads: int = ranged(1, 1, 64)
    """Of the published network while training on a CPU."""


class GlanceMethod(CropMethod[GlanceSettings]):
    """See ``network`` for what is trained, ``trainer.data.video`` for on what: the crops of ``trainer prepare encoder``."""

    name = "glance"
    summary = "what the published landmark network's maps tell of cover, pose, expression, identity, light"
    settings_class = GlanceSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "method": {"batch": 4, "mixed": 8, "rendered": 8},
            "loop": {"steps": 6, "evaluate_every": 6, "checkpoint_every": 6, "log_every": 2},
        },
        "cpu": {
            "optimiser": {"lr": 1e-3, "weight_decay": 0.02},
            "schedule": {"warmup_steps": 100, "final": 0.02},
            "loop": {
                "steps": 100_000, "minutes": 25.0, "ema": 0.998, "log_every": 25, "evaluate_every": 800, "checkpoint_every": 200,
            },
            "machine": {"workers": 1, "prefetch": 4},
        },
        "gpu": {
            "method": {"batch": 256, "mixed": 6000, "rendered": 6000},
            "optimiser": {"lr": 2e-3, "weight_decay": 0.02},
            "schedule": {"warmup_steps": 200, "final": 0.02},
            "loop": {
                "steps": 100_000, "minutes": 6.0, "ema": 0.998, "log_every": 50, "evaluate_every": 1000, "checkpoint_every": 500,
            },
            "machine": {"workers": 14, "prefetch": 4},
        },
    }  # fmt: skip
    best = ("all", "loss")

    def build(self) -> nn.Module:
        module = GlanceNetwork()
        if self.settings.start:
            take_weights(module, Path(self.settings.start))
        module.trunk.hasten(self.settings.trunk_threads)
        return module

    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return losses(module(batch.image), batch)

    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        measures = Measures()
        for batch in batches:
            measures.add(module(batch.image), batch)
        return Table(measures.rows())

    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        header = NetworkHeader(
            name="glance-256",
            task="encoder",
            licence="Apache-2.0",
            origin="MediaPipe's face_landmarks_detector (Apache-2.0) as published, and a head beside it; see docs/encoder.md",
            landmark_set="mediapipe478",
            face_model="builtin",
            inputs=(InputHeader("image", size=CROP),),
            outputs=(
                OutputHeader("points", "points", "fraction"),
                OutputHeader("presence", "presence", "logit"),
                OutputHeader("tongue", "other", "weight"),
                OutputHeader("covered", "other", "probability"),
                OutputHeader("rotation", "rotation", "none"),
                OutputHeader("scores", "scores", "weight"),
                OutputHeader("identity", "identity", "standard_deviation"),
                OutputHeader("light", "light", "none"),
                OutputHeader("stem", "other", "none"),
            ),
        )
        assert isinstance(module, GlanceNetwork)
        return DeployedGlance(module), header

    def export(self, module: nn.Module, path: Path) -> None:
        """Write ``deployed`` as ONNX, checked against torch; then it takes crops channels last, and its weights are halved."""
        super().export(module, path)
        finish(path, channels_last=True)


class DeployedGlance(nn.Module):
    """Pictures (B, 3, 256, 256) in 0..1 to points (B, 478, 3), presence (B, 1), tongue (B, 1), covered (B, 478), rotation
    (B, 3, 3), scores (B, 52), identity (B, 100), light (B, 9, 3), and the map at stride 4 from which the branch goes on.
    """

    def __init__(self, network: GlanceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        answers = self.network.trunk.answers(image)
        seen = self.network.glance(answers)
        return (
            answers.points,
            answers.presence,
            answers.tongue,
            torch.sigmoid(seen.covered),
            seen.rotation,
            torch.sigmoid(seen.scores),
            seen.identity,
            seen.light,
            answers.map4,
        )
