"""What a method is to the trainer: a network, its data, its losses, its measure, its deployed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from engines import NetworkHeader
from trainer.data.batch import Batch
from trainer.data.stream import Stream
from trainer.pictures import Picture
from trainer.settings import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


class Streams(NamedTuple):
    """A method's data. ``validation`` must have a length."""

    train: Stream
    validation: Stream


@dataclass(frozen=True)
class Table:
    """Metrics by row: ``all``, then subsets (of landmarks, sources, angles ...)."""

    rows: dict[str, dict[str, float]]
    """Row -> metric -> value; NaN where there was nothing to measure."""
    notes: tuple[str, ...] = ()
    """Lines to stand under the table."""
    pictures: dict[str, Picture] = field(default_factory=dict)
    """Title -> (H, W, 3) RGB uint8, for the report: what a table cannot tell."""


class Method(ABC, Generic[SettingsT]):
    """A way to train a network. Constructed from its settings, which it may use in everything it does.

    The package ``trainer.methods.NAME`` names its class ``METHOD``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for ``trainer list``."""
    settings_class: ClassVar[type[Settings]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Name (``smoke``, ``cpu``, ``gpu`` ...) -> nested tables as in a settings file: ``{"loop": {"steps": 60}, "method":
    {"backbone": "resnet18"}}``."""
    best: ClassVar[tuple[str, str]] = ("all", "loss")
    """Row and metric of ``evaluate``'s table by which checkpoints are compared; less is better."""

    def __init__(self, settings: SettingsT, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed

    def prepare(self) -> dict[str, str]:
        """Make or fetch what is not there yet. Returns the SHA-256 of each data file that the run depends on, by name.

        Runs once, in one process, before everything else; nothing to do by default.
        """
        return {}

    @abstractmethod
    def build(self) -> nn.Module:
        """The network: everything with weights, losses' weights included. ``torch``'s seed is set before."""

    @abstractmethod
    def streams(self) -> Streams:
        """Training and validation data; no two of them alike."""

    @abstractmethod
    def step(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name for one batch on the module's device; ``loss`` is what is minimised, the others are shown.

        ``module`` is what ``build`` returned, in training mode. With mixed precision this runs under autocast: turn
        outputs into float32 before delicate arithmetic.
        """

    @abstractmethod
    def evaluate(self, module: nn.Module, batches: Iterable[Batch]) -> Table:
        """Metrics over a finite stream; ``module`` is in evaluation mode, gradients are off, batches on its device."""

    def points(self, module: nn.Module, batch: Batch) -> Tensor | None:
        """(B, N, 2 or more) predicted landmarks as fractions of the crop, for pictures; None: there is nothing to draw."""
        return None

    def parameter_groups(self, module: nn.Module) -> list[dict[str, Any]]:
        """Groups for the optimiser, each with ``params`` and what differs (``lr`` as a multiple in ``lr_scale``,
        ``weight_decay``). By default matrices decay and vectors do not.
        """
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]

    @abstractmethod
    def deployed(self, module: nn.Module) -> tuple[nn.Module, NetworkHeader]:
        """The network as users run it, and what they must know.

        It takes one (B, 3, S, S) float32 input, (rgb / 255 - mean) / std with the mean and std of ``header.inputs[0]``, and
        gives a tuple of tensors that begin with B, in the order of ``header.outputs``.
        """

    def export(self, module: nn.Module, path: Path) -> None:
        """Write ``deployed`` as ONNX, checked against torch. Raises ``ExportError``."""
        from trainer.export import export_onnx

        network, header = self.deployed(module)
        export_onnx(network, header, path)
