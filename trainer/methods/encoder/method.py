"""The method."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from engines.header import InputHeader, NetworkHeader, OutputHeader
from tracker.face_model.head_points import HEAD_POINT_COUNT, HEAD_SET
from trainer.data.batch import Batch
from trainer.method import Table
from trainer.methods.encoder.crops import CropMethod, take_weights
from trainer.methods.encoder.deployed import DeployedEncoder
from trainer.methods.encoder.finish import finish
from trainer.methods.encoder.losses import losses
from trainer.methods.encoder.measures import Measures
from trainer.methods.encoder.network import CROP, EncoderNetwork
from trainer.methods.encoder.settings import EncoderSettings


class EncoderMethod(CropMethod[EncoderSettings]):
    """See ``network`` for what is trained, ``trainer.data.video`` for on what."""

    name = "encoder"
    summary = "the tracker's own encoder: 628 landmarks of the whole head, sigma, visibility, presence, pose"
    settings_class = EncoderSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "method": {"batch": 4, "mixed": 8, "rendered": 8},
            "loop": {"steps": 6, "evaluate_every": 6, "checkpoint_every": 6, "log_every": 2},
        },
        "cpu": {
            "optimiser": {"lr": 1e-3, "weight_decay": 1e-3},
            "schedule": {"warmup_steps": 100, "final": 0.02},
            "loop": {
                "steps": 100_000, "minutes": 60.0, "ema": 0.998, "log_every": 25, "evaluate_every": 500, "checkpoint_every": 250,
            },
            "machine": {"workers": 1, "prefetch": 4},
        },
        "gpu": {
            "method": {"batch": 256, "frozen_stride": 4, "mixed": 6000, "rendered": 6000, "blocks": 4},
            "optimiser": {"lr": 2e-3, "weight_decay": 1e-3},
            "schedule": {"warmup_steps": 500, "final": 0.01},
            "loop": {
                "steps": 100_000, "minutes": 25.0, "ema": 0.999, "precision": "bf16-mixed", "log_every": 50,
                "evaluate_every": 2000, "checkpoint_every": 1000,
            },
            "machine": {"workers": 14, "prefetch": 4},
        },
    }  # fmt: skip
    best = ("all", "loss")

    def build(self) -> nn.Module:
        module = EncoderNetwork(HEAD_POINT_COUNT, self.settings.blocks)
        if self.settings.start:
            take_weights(module, Path(self.settings.start))
        for parameter in module.trunk.parameters_until(self.settings.frozen_stride):
            parameter.requires_grad_(False)
        return module

    def parameter_groups(self, module: nn.Module) -> list[dict[str, Any]]:
        trunk = {id(parameter) for parameter in module.trunk.parameters()}  # type: ignore[union-attr]
        groups = super().parameter_groups(module)
        split = []
        for group in groups:
            ours = [p for p in group["params"] if id(p) not in trunk]
            theirs = [p for p in group["params"] if id(p) in trunk]
            split.append({**group, "params": ours})
            # Pulling the trunk's weights towards zero would forget what they know.
            split.append({**group, "params": theirs, "lr_scale": self.settings.trunk_rate, "weight_decay": 0.0})
        return split

    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return losses(module(batch.image), batch)

    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        measures = Measures()
        for batch in batches:
            measures.add(module(batch.image), batch)
        return Table(measures.rows())

    def points(self, module: nn.Module, batch: Batch) -> Tensor | None:
        return module(batch.image).points  # type: ignore[no-any-return]

    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        header = NetworkHeader(
            name="own-256",
            task="encoder",
            licence="Apache-2.0",
            origin="fine-tuned from MediaPipe's face_landmarks_detector (Apache-2.0); see docs/encoder.md",
            landmark_set=HEAD_SET,
            face_model="builtin",
            inputs=(InputHeader("image", size=CROP),),
            outputs=(
                OutputHeader("points", "points", "fraction"),
                OutputHeader("log_sigma", "sigma", "log_fraction"),
                OutputHeader("visibility", "visible", "probability"),
                OutputHeader("presence", "presence", "probability"),
                OutputHeader("rotation", "rotation", "none"),
                OutputHeader("kept", "other", "probability"),
                OutputHeader("stem", "other", "none"),
            ),
        )
        assert isinstance(module, EncoderNetwork)
        return DeployedEncoder(module, self.settings.log_sigma_shift), header

    def export(self, module: nn.Module, path: Path) -> None:
        """Write ``deployed`` as ONNX with its weights in half precision, checked against torch before they are halved."""
        super().export(module, path)
        finish(path)
