"""The method."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from engines.header import InputHeader, NetworkHeader, OutputHeader
from tracker.cache import atomic_target, cache_dir, sha256_of
from tracker.errors import ConfigError
from tracker.face_model.head_points import HEAD_POINT_COUNT, HEAD_SET
from trainer.data.batch import Batch
from trainer.data.video import shard as shards
from trainer.data.video.disguised import DisguiseConfig, DisguisedStream
from trainer.data.video.shard import Shard
from trainer.method import Method, Streams, Table
from trainer.methods.encoder.deployed import DeployedEncoder
from trainer.methods.encoder.half import halve_weights
from trainer.methods.encoder.losses import losses
from trainer.methods.encoder.measures import Measures
from trainer.methods.encoder.network import CROP, EncoderNetwork
from trainer.methods.encoder.settings import EncoderSettings

VALIDATION = "held_out"
"""Name of the shard of people whom training does not see."""
_EVALUATED = 12


class EncoderMethod(Method[EncoderSettings]):
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

    @property
    def folder(self) -> Path:
        """Where the labelled crops lie."""
        return Path(self.settings.shards) if self.settings.shards else cache_dir("training", "encoder")

    def prepare(self) -> dict[str, str]:
        """Label clips, blend people, render heads: what is not in the folder yet."""
        from trainer.methods.encoder.material import prepare

        settings = self.settings
        material = [Path(each) for each in settings.material]
        prepare(self.folder, material, settings.mixed, settings.rendered, settings.processes)
        return {name: sha256_of(self.folder / f"{name}.labels.npz") for name in shards.names(self.folder)}

    def build(self) -> nn.Module:
        module = EncoderNetwork(HEAD_POINT_COUNT, self.settings.blocks)
        if self.settings.start:
            _take_weights(module, Path(self.settings.start))
        for parameter in module.trunk.parameters_until(self.settings.frozen_stride):
            parameter.requires_grad_(False)
        return module

    def streams(self) -> Streams:
        settings = self.settings
        parts = [(share, part) for share, part in self._parts() if share > 0.0]
        held_out = shards.read(self.folder, VALIDATION)
        return Streams(
            DisguisedStream(parts, DisguiseConfig(batch_size=settings.batch, seed=self.seed)),
            DisguisedStream(
                [(1.0, held_out)],
                DisguiseConfig(batch_size=32, seed=77, negatives=0.1, length=_EVALUATED, covered=0.67),
            ),
        )

    def _parts(self) -> list[tuple[float, Shard]]:
        names = [name for name in shards.names(self.folder) if name != VALIDATION]
        kinds = {"mixed": self.settings.mixed_share, "rendered": self.settings.rendered_share}
        grouped: dict[str, list[Shard]] = {}
        for name in names:
            kind = next((each for each in kinds if name.startswith(each)), "real")
            grouped.setdefault(kind, []).append(shards.read(self.folder, name))
        if "real" not in grouped:
            raise ConfigError(
                f"{self.folder} holds no labelled crops; run: trainer prepare encoder --set method.material=[...]"
            )
        return [(kinds.get(kind, self.settings.real_share), shards.join(parts)) for kind, parts in grouped.items()]

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
                OutputHeader("published", "other", "fraction"),
                OutputHeader("tongue", "other", "weight"),
                OutputHeader("rotation", "rotation", "none"),
            ),
        )
        assert isinstance(module, EncoderNetwork)
        return DeployedEncoder(module, self.settings.log_sigma_shift), header

    def export(self, module: nn.Module, path: Path) -> None:
        """Write ``deployed`` as ONNX with its weights in half precision, checked against torch before they are halved."""
        import onnx

        super().export(module, path)
        model = onnx.load(str(path))
        halve_weights(model)
        with atomic_target(path) as partial:
            onnx.save(model, str(partial))


def _take_weights(module: nn.Module, path: Path) -> None:
    """Weights of an earlier run's checkpoint, its average where it has one; parts that are not in it keep their start."""
    from trainer.checkpoint import load

    checkpoint = load(path)
    stored = checkpoint.module if checkpoint.average is None else checkpoint.average
    weights = {name.removeprefix("module."): value for name, value in stored.items()}
    own = module.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ConfigError(f"{path} is a checkpoint of another network: nothing of it fits; leave method.start away")
    module.load_state_dict(fitting, strict=False)
