"""Metrics and pictures of a network on validation data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from torch import nn

from trainer.data.batch import Batch
from trainer.data.loader import batches
from trainer.data.stream import Stream
from trainer.errors import TrainingError
from trainer.method import Method, Table
from trainer.pictures import Picture, draw_points

_PICTURES: Final = 12


def evaluate(
    method: Method[Any], module: nn.Module, stream: Stream, fabric: Fabric, workers: int = 0
) -> tuple[Table, list[Picture]]:
    """A method's metrics over one pass of a stream, and pictures of its first faces.

    Raises:
        TrainingError: the stream has no end, or the table lacks the metric that checkpoints are compared by.
    """
    if stream.length is None:
        raise TrainingError(f"the validation stream of {method.name} has no length; evaluation would never end")
    pictures: list[Picture] = []

    def seen(source: Iterator[Batch]) -> Iterator[Batch]:
        for batch in source:
            here = batch.to(fabric.device)
            if len(pictures) < _PICTURES:
                points = method.points(module, here)
                if points is not None:
                    pictures.extend(draw_points(batch, points.float().cpu(), _PICTURES - len(pictures)))
            yield here

    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), fabric.autocast(), batches(stream, range(stream.length), workers) as source:
            table = method.evaluate(module, seen(source))
    finally:
        module.train(was_training)
    row, metric = method.best
    if metric not in table.rows.get(row, {}):
        raise TrainingError(
            f"{method.name}'s table must hold {metric!r} in the row {row!r}, by which runs are compared"
        )
    return table, pictures
