"""Settings of the dense landmark method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tracker.errors import ConfigError
from trainer.settings import Settings, ranged


@dataclass(frozen=True)
class DataSettings(Settings):
    """Where crops come from."""

    folder: str | None = None
    """Stored crops with ``train`` and ``validation`` in it; none: rendered once by ``trainer prepare`` into the cache."""
    live: bool = False
    """Render anew for every training batch instead of reading stored crops: for machines that render fast."""
    train_crops: int = ranged(8192, 8)
    validation_crops: int = ranged(512, 8)
    stored_px: int = ranged(128, 32, 1024)
    """Side of rendered crops; those of another ``crop_size`` are scaled."""
    shards: str | None = None
    """Folder of real crops with a fitted head, as ``trainer prepare encoder`` makes them; none: synthetic ones alone. Its
    held-out people are measured beside the synthetic ones."""
    real_share: float = ranged(0.5, 0.0, 1.0)
    """Of each training batch, where there are shards."""
    augment: bool = True
    """Flips, turns, scales and colours of training crops (section 4.5)."""
    upside_down: bool = False
    """Flips from top to bottom, too, as the thesis does."""


@dataclass(frozen=True)
class DenseLandmarkSettings(Settings):
    """The network and its loss. Defaults are the thesis's best row that fits a small machine; ``presets`` has its recipe."""

    backbone: str = "mobilenetv4_s"
    decoder: Literal["linear", "mlp", "spiral"] = "spiral"
    landmark_set: str = "dense403"
    """``dense1609`` to ``dense101``."""
    face_model: str = "builtin"
    """Whose landmarks: the built-in head's, or an imported model's own (``tracker models list``)."""
    crop_size: int = ranged(128, 32, 1024)
    batch_size: int = ranged(32, 1, 4096)
    loss: Literal["ngll", "resll", "resll_exp"] = "resll_exp"
    """NGLL (3.14); ResLL (3.21) with sigmas out of a sigmoid; ResLL-Exp with exponential ones, as NGLL has them, too."""
    base: Literal["laplace", "gaussian"] = "laplace"
    """Q of ResLL."""
    anchored: bool = True
    """ResLL with Q as a density of the points; false: exactly as (3.21) is written (``ResidualLogLikelihood``)."""
    vertex_edge: float = ranged(0.0, 0.0, 1e4)
    """Weight of the vertex-edge loss (3.23) beside the likelihood; 0: without. The thesis does not tell its own."""
    weights: str | None = None
    """A file of pretrained weights of the backbone."""
    data: DataSettings = field(default_factory=DataSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_size % 32:
            raise ConfigError(f"crop_size must be a multiple of 32, got {self.crop_size}")

    @property
    def sigma(self) -> str:
        """How the network makes its sigmas: a sigmoid for ``resll``, an exponential otherwise."""
        return "sigmoid" if self.loss == "resll" else "exp"


_RECIPE_CROPS: Final = 37_840
_RECIPE_BATCH: Final = 32

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Seconds: that everything works.
    "smoke": {
        "loop": {"steps": 12, "evaluate_every": 12, "checkpoint_every": 12, "log_every": 4},
        "optimiser": {"lr": 1e-3},
        "method": {
            "landmark_set": "dense101",
            "crop_size": 64,
            "batch_size": 16,
            "data": {"train_crops": 64, "validation_crops": 32, "stored_px": 64},
        },
    },
    # Minutes on a quiet CPU: from the trunk of the tracker's landmark network, which starts far ahead of random weights.
    "cpu-small": {
        "loop": {"steps": 400, "evaluate_every": 400, "checkpoint_every": 400},
        "optimiser": {"lr": 5e-4},
        "schedule": {"warmup_steps": 20},
        "method": {
            "backbone": "facemesh",
            "decoder": "linear",
            "data": {"train_crops": 4096, "validation_crops": 512},
        },
    },
    # The thesis's section 4.5: 100 epochs of DAD-3DHeads' size, Adam at a fixed rate, ConvNeXt-T with spiral decoder.
    "gpu": {
        "loop": {
            "steps": 100 * _RECIPE_CROPS // _RECIPE_BATCH,
            "precision": "bf16-mixed",
            "evaluate_every": 5000,
            "checkpoint_every": 5000,
        },
        "optimiser": {"lr": 1e-4, "weight_decay": 0.0, "clip_norm": None},
        "schedule": {"kind": "constant"},
        "machine": {"workers": 8},
        "method": {
            "backbone": "convnext_t",
            "landmark_set": "dense1609",
            "crop_size": 256,
            "batch_size": _RECIPE_BATCH,
            "data": {"live": True, "upside_down": True, "stored_px": 256, "validation_crops": 2156},
        },
    },
}
