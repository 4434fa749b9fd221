"""Flips and warps in the picture's plane, with all labels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.augment.mirror import Mirror
from trainer.data.augment.turning import look_matrix, roll_matrix, turn_light
from trainer.data.batch import Batch


def flip(batch: Batch, mirror: Mirror, rows: Tensor) -> Batch:
    """The crops of ``rows`` (B,) bool mirrored left to right, as pictures of the mirrored person.

    Points without a partner in the set become unknown.
    """
    if not bool(rows.any()):
        return batch
    rows = rows.to(batch.image.device)
    partner, has = mirror.points.clamp(min=0).to(rows.device), (mirror.points >= 0).to(rows.device)
    nan = torch.tensor(float("nan"), device=rows.device)
    points = batch.points[:, partner] * batch.points.new_tensor([-1.0, 1.0, 1.0]) + batch.points.new_tensor([1.0, 0, 0])
    points = torch.where(has[:, None], points, nan)
    reflection = torch.diag(batch.points.new_tensor([-1.0, 1.0, 1.0]))
    identity = batch.identity @ mirror.identity.to(batch.identity).T
    return replace(
        batch,
        image=_pick(rows, batch.image.flip(-1), batch.image),
        points=_pick(rows, points, batch.points),
        weight=_pick(rows, torch.where(has, batch.weight[:, partner], 0.0), batch.weight),
        visible=_pick(rows, torch.where(has, batch.visible[:, partner], nan), batch.visible),
        rotation=_pick(rows, reflection @ batch.rotation @ reflection, batch.rotation),
        expression=_pick(rows, batch.expression[:, mirror.expression.to(rows.device)], batch.expression),
        identity=_pick(rows, identity, batch.identity),
        light=_pick(rows, turn_light(batch.light, reflection.expand(len(batch), 3, 3)), batch.light),
    )


def warp(batch: Batch, roll_rad: Tensor, scale: Tensor, shift: Tensor) -> Batch:
    """Crops turned about their middle, enlarged, then moved.

    What lay at p lies at scale Rot(roll) (p - 1/2) + 1/2 + shift. The labels' camera looks at the new middle of the crop: with a
    known focal length a shift turns rotation, light and depth a little; where it is unknown the camera counts as far away.
    Beyond its edges a crop goes on with the pixels at its edge, as the tracker's crops do. Points outside are not visible.

    Args:
        batch: any batch.
        roll_rad: (B,) clockwise as seen.
        scale: (B,) above 1 enlarges.
        shift: (B, 2) fractions of the crop's side.
    """
    device = batch.image.device
    roll_rad, scale, shift = roll_rad.to(device), scale.to(device), shift.to(device)
    turn = roll_matrix(roll_rad)
    plane = turn[:, :2, :2]
    back = plane.transpose(1, 2) / scale[:, None, None]
    # grid_sample's coordinates run from -1 to 1 over the side, so shifts count twice.
    theta = torch.cat([back, -2.0 * back @ shift[:, :, None]], dim=2)
    grid = functional.affine_grid(theta, list(batch.image.shape), align_corners=False)
    image = functional.grid_sample(batch.image, grid, padding_mode="border", align_corners=False)

    focal = batch.focal * scale
    distance = torch.where(focal.isnan(), torch.full_like(focal, 1e6), focal)
    look = look_matrix(torch.cat([-shift, distance[:, None]], dim=1))
    flat = torch.einsum("bij,bnj->bni", plane, batch.points[:, :, :2] - 0.5) * scale[:, None, None] + 0.5
    flat = flat + shift[:, None]
    # Along the new axis, depth changes with the place in the picture; the points' own middle stands for the head's origin.
    solid = torch.cat([flat - flat.nanmean(dim=1, keepdim=True), batch.points[:, :, 2:] * scale[:, None, None]], dim=2)
    depth = torch.einsum("bj,bnj->bn", look[:, 2], solid)
    points = torch.cat([flat, depth[:, :, None]], dim=2)
    whole = look @ turn
    return replace(
        batch,
        image=image,
        points=points,
        visible=hide_outside(points, batch.visible),
        rotation=whole @ batch.rotation,
        light=turn_light(batch.light, whole),
        focal=focal,
    )


def hide_outside(points: Tensor, visible: Tensor) -> Tensor:
    """``visible`` (B, N) with 0 for points (B, N, >=2) outside the crop."""
    outside = ((points[:, :, :2] < 0.0) | (points[:, :, :2] > 1.0)).any(dim=2)
    return torch.where(outside, torch.zeros_like(visible), visible)


def _pick(rows: Tensor, changed: Tensor, kept: Tensor) -> Tensor:
    return torch.where(rows.reshape(-1, *[1] * (kept.ndim - 1)), changed, kept)
