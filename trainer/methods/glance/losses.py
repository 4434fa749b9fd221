"""What the glance is asked for: cover, pose, expression, identity, light."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from tracker.directions import even_directions
from trainer.data.batch import Batch
from trainer.data.video.disguised import covered
from trainer.image_formation.shading import sh_basis
from trainer.losses.robust import mean_of, robust
from trainer.methods.encoder.network import POINTS
from trainer.methods.glance.network import Glance


def losses(seen: Glance, batch: Batch) -> dict[str, Tensor]:
    """Scalars; ``loss`` is what is minimised."""
    under = covered(batch.visible[:, :POINTS])
    present = batch.present[:, None].expand_as(under)
    told = seen.covered.float()
    cover = mean_of(F.binary_cross_entropy_with_logits(told, under, reduction="none"), present)
    # What is decided by is the share of the face, so that is asked for, too.
    share = mean_of(robust(torch.sigmoid(told).mean(dim=1) - under.mean(dim=1), 0.02), batch.present)

    posed = torch.isfinite(batch.rotation).flatten(1).all(dim=1)
    turn = ((seen.rotation.float() - torch.nan_to_num(batch.rotation)) ** 2).sum(dim=(1, 2))
    rotation = mean_of(turn, posed.float())

    scored = torch.isfinite(batch.expression)
    wrong = torch.sigmoid(seen.scores.float()) - torch.nan_to_num(batch.expression)
    expression = mean_of(robust(wrong, 0.05), scored.float())

    named = torch.isfinite(batch.identity)
    identity = mean_of(robust(seen.identity.float() - torch.nan_to_num(batch.identity), 0.5), named.float())

    lit = torch.isfinite(batch.light).flatten(1).all(dim=1)
    towards = sh_basis(_facing(told))
    found, truth = (
        torch.einsum("dk,bkc->bdc", towards, each) for each in (seen.light.float(), torch.nan_to_num(batch.light))
    )
    level = truth.mean(dim=(1, 2), keepdim=True).abs().clamp(min=0.02)
    light = mean_of(robust((found - truth) / level, 0.1).mean(dim=(1, 2)), lit.float())

    parts = {
        "cover": cover, "share": share, "rotation": rotation, "expression": expression, "identity": identity,
        "light": light,
    }  # fmt: skip
    total = sum((_WEIGHTS[name] * part for name, part in parts.items()), torch.zeros((), device=told.device))
    return {"loss": total, **parts}


_WEIGHTS: Final = {"cover": 1.0, "share": 0.1, "rotation": 0.5, "expression": 0.3, "identity": 0.1, "light": 0.05}


def _facing(like: Tensor) -> Tensor:
    """Directions (D, 3) towards the camera's side: what looks away from it tells nothing of the light there."""
    every = torch.tensor(even_directions(48), dtype=torch.float32, device=like.device)
    return every[every[:, 2] < -0.1]
