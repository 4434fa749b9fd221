"""Methods that learn from the labelled crops of ``trainer.data.video``: which crops, and how they reach the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from tracker.cache import cache_dir, sha256_of
from tracker.errors import ConfigError
from trainer.data.video import shard as shards
from trainer.data.video.disguised import DisguiseConfig, DisguisedStream
from trainer.data.video.shard import Shard
from trainer.method import Method, Streams
from trainer.settings import Settings, ranged

VALIDATION = "held_out"
"""Name of the shard of people whom training does not see."""
_EVALUATED = 12


@dataclass(frozen=True)
class CropSettings(Settings):
    """What is trained on."""

    batch: int = ranged(32, 1, 4096)
    start: str = ""
    """Checkpoint of an earlier run to take the weights from, as far as they fit; empty: begin anew."""
    shards: str = ""
    """Folder of labelled crops; empty: ``training/encoder`` in the user's cache, made by ``trainer prepare encoder``."""
    material: tuple[str, ...] = ()
    """Folders with the clips and pictures to learn from, for ``prepare``."""
    mixed: int = ranged(4400, 0, 10_000_000)
    """Crops of people who do not exist, blended from the real ones."""
    rendered: int = ranged(2600, 0, 10_000_000)
    """Rendered crops."""
    processes: int = ranged(0, 0, 1024)
    """That ``prepare`` runs at a time; 0: one for each core. What it makes does not depend on it."""
    real_share: float = ranged(0.35, 0.0, 1.0)
    mixed_share: float = ranged(0.40, 0.0, 1.0)
    rendered_share: float = ranged(0.25, 0.0, 1.0)
    """Of each batch."""


CropSettingsT = TypeVar("CropSettingsT", bound=CropSettings)


class CropMethod(Method[CropSettingsT]):
    """What such methods share."""

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
                f"{self.folder} holds no labelled crops; run: trainer prepare {self.name} --set method.material=[...]"
            )
        return [(kinds.get(kind, self.settings.real_share), shards.join(parts)) for kind, parts in grouped.items()]


def take_weights(module: nn.Module, path: Path) -> None:
    """Weights of an earlier run's checkpoint, its average where it has one; parts that are not in it keep their start.

    Raises ConfigError when nothing of it fits.
    """
    from trainer.checkpoint import load

    checkpoint = load(path)
    stored = checkpoint.module if checkpoint.average is None else checkpoint.average
    weights = {name.removeprefix("module."): value for name, value in stored.items()}
    own = module.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ConfigError(f"{path} is a checkpoint of another network: nothing of it fits; leave method.start away")
    module.load_state_dict(fitting, strict=False)
