"""The one currency between data streams, methods and reports."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Aligned face crops and what is known about them.

    A crop is square, S pixels wide; image points are fractions of its side, (0, 0) its upper left corner, (1, 1) its
    lower right one. What is not known is NaN, row by row: losses leave it out.
    """

    image: Tensor
    """(B, 3, S, S) float32 RGB in 0..1."""
    points: Tensor
    """(B, N, 3) landmarks of the stream's landmark set: x, y as fractions of the crop's side; z on the same scale,
    growing away from the camera, zero at the head's origin. NaN where unknown."""
    weight: Tensor
    """(B, N) in 0..1: how far each point can be trusted; 0 where it is NaN."""
    visible: Tensor
    """(B, N) 1 where the point is seen, 0 where a hand, hair or the face itself hides it, NaN where unknown."""
    present: Tensor
    """(B,) 1 where the crop shows a face, 0 where it does not."""
    rotation: Tensor
    """(B, 3, 3) head axes to the axes of a camera that looks at the crop's centre, turned with the crop."""
    expression: Tensor
    """(B, 52) weights in 0..1 in ``ARKIT_NAMES`` order."""
    identity: Tensor
    """(B, Ni) coefficients of the stream's face model."""
    light: Tensor
    """(B, 9, 3) spherical-harmonics terms in the camera's axes, per colour channel, as ``tracker.appearance`` has them."""
    focal: Tensor
    """(B,) focal length as a multiple of the crop's side."""
    source: tuple[str, ...] = ()
    """(B,) where each crop comes from: for reports, and for evaluation by source."""

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        tensors = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return Batch(**tensors, source=self.source)

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which GPUs copy in the background."""
        return Batch(**{name: getattr(self, name).pin_memory() for name in _TENSORS}, source=self.source)


_TENSORS = tuple(field.name for field in fields(Batch) if field.name != "source")


def unknown(count: int, points: int, identity: int, size: int) -> Batch:
    """A batch of black crops about which nothing is known yet: a stream fills in what it has."""
    nan = float("nan")
    return Batch(
        image=torch.zeros(count, 3, size, size),
        points=torch.full((count, points, 3), nan),
        weight=torch.zeros(count, points),
        visible=torch.full((count, points), nan),
        present=torch.ones(count),
        rotation=torch.full((count, 3, 3), nan),
        expression=torch.full((count, 52), nan),
        identity=torch.full((count, identity), nan),
        light=torch.full((count, 9, 3), nan),
        focal=torch.full((count,), nan),
        source=("",) * count,
    )


def concatenate(batches: list[Batch]) -> Batch:
    """Batches of the same landmark set, model and crop size as one.

    Raises:
        ValueError: the list is empty.
    """
    if not batches:
        raise ValueError("concatenate needs at least one batch")
    joined = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in _TENSORS}
    return Batch(**joined, source=tuple(name for batch in batches for name in batch.source))
