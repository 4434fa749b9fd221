"""Synthetic occlusions: patterns of random shapes laid over the crop (SADRNet, section III-B).

Shapes are closed curves r(angle) = r0 (1 + sum_k a_k cos(k angle + phase_k)), stretched and turned: blobs, hands' outlines,
strands and bars. Patterns are plain, shaded, striped, noisy, or taken from another crop of the batch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.augment.draw import between, between_factors
from trainer.data.batch import Batch

_WAVES: Final = 6
_STRETCH: Final = (0.3, 3.3)
_STEPS: Final = 720
_SOFT_EDGE_PX: Final = 1.5


def occlude(
    batch: Batch, rows: Tensor, most: int, size: tuple[float, float], generator: torch.Generator
) -> tuple[Batch, Tensor]:
    """Lay 1 to ``most`` occluders over the crops of ``rows``.

    Points under an occluder are not visible any more; their places stay known.

    Args:
        batch: any batch.
        rows: (B,) bool.
        most: occluders per crop.
        size: range of the mean radius, as fractions of the crop's side.
        generator: on the CPU.

    Returns:
        The batch, and (B, 1, S, S) in 0..1: how much of each pixel is covered.
    """
    covered = torch.zeros_like(batch.image[:, :1])
    where = torch.nonzero(rows).flatten()
    if not len(where):
        return batch, covered
    where = where.to(batch.image.device)
    image = batch.image.clone()
    wanted = torch.randint(1, most + 1, (len(where),), generator=generator).to(where.device)
    for number in range(int(wanted.max())):
        some = where[wanted > number]
        alpha = _shapes(_centres(batch.points[some], generator), size, image.shape[-1], generator)
        image[some] = torch.lerp(image[some], _patterns(batch.image, len(some), generator), alpha)
        covered[some] = torch.lerp(covered[some], torch.ones_like(alpha), alpha)
    hidden = cover_at(covered, batch.points) > 0.5
    return replace(
        batch, image=image, visible=torch.where(hidden, torch.zeros_like(batch.visible), batch.visible)
    ), covered


def cover_at(covered: Tensor, points: Tensor) -> Tensor:
    """(B, N) the mask ``covered`` (B, 1, S, S) at points (B, N, >=2); 0 outside and at unknown points."""
    grid = torch.nan_to_num(points[:, None, :, :2] * 2.0 - 1.0, nan=-9.0)
    return functional.grid_sample(covered, grid, align_corners=False)[:, 0, 0]


def _centres(points: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 2) near a known point, anywhere where none is."""
    count = len(points)
    known = ~points[:, :, :2].isnan().any(dim=2)
    score = torch.rand(known.shape, generator=generator).to(points.device) * known
    picked = points[torch.arange(count, device=points.device), score.argmax(dim=1), :2]
    spread = 0.1 * torch.randn(count, 2, generator=generator).to(points)
    anywhere = torch.rand(count, 2, generator=generator).to(points)
    return torch.where(known.any(dim=1, keepdim=True), torch.nan_to_num(picked) + spread, anywhere)


def _shapes(centre: Tensor, size: tuple[float, float], side: int, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) alpha of one random shape each."""
    count = len(centre)
    # Signed distance is smooth: computed on every second pixel, its zero is still a sharp edge after enlarging.
    coarse = max(2, side // 2)
    place = (torch.arange(coarse, dtype=centre.dtype, device=centre.device) + 0.5) / coarse
    y, x = torch.meshgrid(place, place, indexing="ij")
    radius = between_factors(size, count, generator=generator)
    stretch = between_factors(_STRETCH, count, generator=generator).sqrt()
    turn = between(0.0, math.pi, count, generator=generator)
    falling = 1.0 / torch.arange(1, _WAVES + 1)
    height = torch.randn(count, _WAVES, generator=generator) * 0.35 * falling
    phase = between(0.0, 2.0 * math.pi, count, _WAVES, generator=generator)
    radius, stretch, turn = (value.to(centre)[:, None, None] for value in (radius, stretch, turn))
    dx, dy = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    along, across = (dx * turn.cos() + dy * turn.sin()) / stretch, (dy * turn.cos() - dx * turn.sin()) * stretch
    angle = torch.atan2(across, along)
    # The curve is tabulated: cosines of every pixel's angle would be most of the cost.
    steps = torch.linspace(-math.pi, math.pi, _STEPS)
    waves = torch.arange(1, _WAVES + 1)[None, :, None] * steps + phase[:, :, None]
    curve = (1.0 + (height[:, :, None] * waves.cos()).sum(dim=1)).clamp(min=0.15).to(centre)
    step = ((angle + math.pi) * ((_STEPS - 1) / (2.0 * math.pi))).round().long().clamp(0, _STEPS - 1)
    edge = curve.gather(1, step.flatten(1)).reshape(angle.shape)
    inside = radius * edge - torch.hypot(along, across)
    return (_enlarged(inside[:, None], side) * (side / _SOFT_EDGE_PX) + 0.5).clamp(0.0, 1.0)


def _patterns(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, 3, S, S) fillings: plain colours with soft shading, stripes or grain, or another crop moved about."""
    side = images.shape[-1]
    coarse = max(2, side // 2)
    base = torch.rand(count, 3, 1, 1, generator=generator).to(images)
    shading = _enlarged(torch.randn(count, 3, 6, 6, generator=generator).to(images), coarse)
    place = torch.linspace(0.0, 1.0, coarse, dtype=images.dtype, device=images.device)
    direction = between(0.0, math.pi, count, generator=generator).to(images)[:, None, None]
    pitch = between(20.0, 200.0, count, generator=generator).to(images)[:, None, None]
    stripes = torch.sin((place[None, :] * direction.cos() + place[:, None] * direction.sin()) * pitch)[:, None]
    grain = torch.randn(count, 1, coarse, coarse, generator=generator).to(images)
    amount = torch.rand(count, 3, 1, 1, 1, generator=generator).to(images) ** 2
    made = base + 0.15 * amount[:, 0] * shading + 0.25 * amount[:, 1] * stripes + 0.12 * amount[:, 2] * grain
    made = _enlarged(made.clamp(0.0, 1.0), side)
    other = images[torch.randint(len(images), (count,), generator=generator).to(images.device)]
    step = torch.randint(1, side, (2,), generator=generator).tolist()
    other = other.roll((step[0], step[1]), dims=(2, 3)).flip(-1)
    borrowed = (torch.rand(count, generator=generator) < 0.35).to(images.device)[:, None, None, None]
    return torch.where(borrowed, other, made)


def _enlarged(values: Tensor, side: int) -> Tensor:
    return functional.interpolate(values, size=(side, side), mode="bilinear", align_corners=False)
