"""Statistics of batch normalisation for the weights as they are (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainer.data.batch import Batch

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def normalised(module: nn.Module) -> bool:
    """Whether there is batch normalisation in training mode, with running statistics."""
    return bool(_layers(module))


def settle(module: ModuleT, batches: Iterable[Batch], step: Callable[[ModuleT, Batch], object]) -> None:
    """Put means over ``batches`` in the place of running statistics; weights stay as they are.

    Running means lag behind weights that move fast, and those of a moving average of weights are of no network that ever ran.
    In deep networks both errors multiply from layer to layer.

    Args:
        module: in training mode; layers of it that are not stay as they are.
        batches: of training, at least one.
        step: runs the module on a batch as training does.
    """
    layers = _layers(module)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        # Without a momentum all batches count alike.
        layer.momentum = None
    try:
        with torch.no_grad():
            for batch in batches:
                step(module, batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _layers(module: nn.Module) -> list[_BatchNorm]:
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, _BatchNorm) and layer.track_running_stats and layer.training
    ]
