"""The step of a run: a batch's losses, their gradients, the weights after them, and the moving average of those."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from trainer.average import moving_average
from trainer.checkpoint import Checkpoint
from trainer.data.batch import Batch
from trainer.errors import CheckpointError, TrainingError
from trainer.method import Method
from trainer.run_settings import OptimiserSettings, RunSettings

_UNUSED: Final = "Expected to have finished reduction in the prior iteration"
"""How data-parallel torch complains about weights without gradients."""


class _Carried:
    """A batch on its way through Fabric's wrappers, which would turn the tensors of a bare one into half precision."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Step(nn.Module):
    """A method's step as a module: data-parallel wrappers see all that has gradients, losses' weights included."""

    def __init__(self, method: Method[Any], module: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.module = module

    def forward(self, carried: _Carried) -> dict[str, Tensor]:
        losses = self.method.step(self.module, carried.batch)
        if "loss" not in losses:
            raise TrainingError(f"the method {self.method.name} gives no loss named 'loss', but {', '.join(losses)}")
        return losses


@dataclass(slots=True)
class Sums:
    """Losses since the last log line, kept on the device so that nothing waits for it."""

    values: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0
    images: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, losses: dict[str, Tensor], images: int) -> None:
        for name, value in losses.items():
            self.values[name] = self.values.get(name, torch.zeros_like(value)) + value.detach()
        self.count += 1
        self.images += images

    def means(self, fabric: Fabric) -> dict[str, float]:
        """Mean losses over all processes."""
        means = torch.stack([value.float() for value in self.values.values()]) / self.count
        if fabric.world_size > 1:
            torch.distributed.all_reduce(means)
            means /= fabric.world_size
        return dict(zip(self.values, means.tolist(), strict=True))

    @property
    def images_per_s(self) -> float:
        """Images since the last log line, by the time that took."""
        return self.images / max(time.monotonic() - self.began, 1e-9)


class Stepper:
    """A method's network, its optimiser and its moving average, in this process.

    Args:
        method: what is trained.
        settings: what every method shares.
        fabric: launched.
    """

    def __init__(self, method: Method[Any], settings: RunSettings, fabric: Fabric) -> None:
        self._method, self._settings, self._fabric = method, settings, fabric
        torch.manual_seed(settings.seed)
        self.module = fabric.to_device(method.build())
        decay = settings.loop.ema
        self.average = None if decay is None else moving_average(self.module, decay)
        if settings.loop.compile:
            self.module.compile()
        self.optimiser = _optimiser(method.parameter_groups(self.module), settings.optimiser)
        self._wrapped, self._wrapped_optimiser = fabric.setup(_Step(method, self.module), self.optimiser)
        # Weights start alike everywhere; what is random in training does not.
        torch.manual_seed(settings.seed + 1 + fabric.global_rank)

    @property
    def deployable(self) -> nn.Module:
        """The network with the weights that are evaluated: the moving average, if there is one."""
        return self.module if self.average is None else self.average.module

    def restore_weights(self, checkpoint: Checkpoint) -> None:
        """Take the network and its average from a checkpoint. Raises ``CheckpointError`` when it is of another network."""
        try:
            self.module.load_state_dict(checkpoint.module)
            if self.average is not None:
                if checkpoint.average is None:
                    raise CheckpointError("the checkpoint has no moving average; take --set loop.ema=none")
                self.average.load_state_dict(checkpoint.average)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint is of another network than the settings describe: {' '.join(str(error).split())[:300]}"
            ) from None

    def restore_optimiser(self, checkpoint: Checkpoint) -> None:
        """Take the optimiser's state from a checkpoint. Raises ``CheckpointError`` when it is of another optimiser."""
        try:
            self.optimiser.load_state_dict(checkpoint.optimiser)
        except (RuntimeError, ValueError, KeyError):
            raise CheckpointError("the checkpoint is of another optimiser than the settings describe") from None

    def step(self, source: Iterator[Batch], scale: float, sums: Sums) -> int:
        """One optimiser step.

        Args:
            source: gives as many batches as are accumulated.
            scale: of the learning rate.
            sums: the losses are added to.

        Returns:
            The images that went into it, in all processes.

        Raises:
            TrainingError: processes cannot agree on gradients that some weights never get.
        """
        optimiser = self._settings.optimiser
        for group in self.optimiser.param_groups:
            group["lr"] = optimiser.lr * scale * group.get("lr_scale", 1.0)
        count = self._settings.loop.accumulate
        images = 0
        self.module.train()
        for position in range(count):
            batch = next(source).to(self._fabric.device)
            with self._fabric.no_backward_sync(self._wrapped, enabled=position < count - 1):
                losses = self._forward(batch)
                self._fabric.backward(losses["loss"] / count)
            images += len(batch) * self._fabric.world_size
            sums.add(losses, len(batch) * self._fabric.world_size)
        if optimiser.clip_norm is not None:
            self._fabric.clip_gradients(
                self._wrapped, self._wrapped_optimiser, max_norm=optimiser.clip_norm, error_if_nonfinite=False
            )
        self._wrapped_optimiser.step()
        self._wrapped_optimiser.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.module)
        return images

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses. Raises ``TrainingError`` where processes cannot agree on gradients that some weights never get."""
        try:
            losses: dict[str, Tensor] = self._wrapped(_Carried(batch))
        except RuntimeError as error:
            if _UNUSED not in str(error):
                raise
            raise TrainingError(
                f"some weights of {self._method.name} have no part in its loss; with several processes that takes "
                "--set machine.find_unused_parameters=true"
            ) from None
        return losses


def _optimiser(groups: list[dict[str, Any]], settings: OptimiserSettings) -> torch.optim.Optimizer:
    groups = [group for group in groups if group["params"]]
    if settings.kind == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, nesterov=True
        )
    return torch.optim.AdamW(
        groups, lr=settings.lr, betas=(settings.momentum, settings.beta2), weight_decay=settings.weight_decay
    )
