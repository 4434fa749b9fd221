"""What the encoder is asked for: points, their relations, sigma, visibility, presence, pose."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.data.batch import Batch
from trainer.data.video.disguised import covered, in_sight, sigma_of
from trainer.losses.robust import mean_of, robust
from trainer.methods.encoder.network import POINTS, Seen

# Pairs whose distance people see: lids, lips, mouth corners.
_PAIRS: Final = (
    (159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373), (13, 14), (82, 87), (312, 317), (61, 291), (0, 17),
    (468, 33), (468, 133), (473, 263), (473, 362), (105, 159), (334, 386),
)  # fmt: skip
_SHARP: Final = 0.003
"""Errors below this, of the crop's side, count as squares, larger ones by their size."""
_FULL_TRUST: Final = 0.008
"""Labels at least this sure have full weight."""

_BARE: Final = 0.02


def losses(seen: Seen, batch: Batch) -> dict[str, Tensor]:
    """Scalars; ``loss`` is what is minimised."""
    points = seen.points.float()
    known = torch.isfinite(batch.points).all(dim=2) & (batch.weight > 0)
    target = torch.where(known[..., None], batch.points, points.detach())
    label = sigma_of(batch.weight)
    trust = (_FULL_TRUST / label).clamp(max=1.0) * known
    # Most frames show a face with nothing in front of it: there nothing may get worse.
    bare = (covered(batch.visible).mean(dim=1, keepdim=True) < _BARE).float()
    trust = trust * (1.0 + bare)
    error = points - target
    flat = error[..., :2]

    place = mean_of(robust(flat, _SHARP).sum(dim=2), trust)
    depth_error = error[..., 2] - _row_mean(error[..., 2], known)[:, None]
    depth = mean_of(robust(depth_error, _SHARP), trust)

    face, face_trust = flat[:, :POINTS], trust[:, :POINTS]
    shift = (face * face_trust[..., None]).sum(dim=1) / face_trust.sum(dim=1, keepdim=True).clamp(min=1e-6)
    common = mean_of(robust(shift, 0.002).sum(dim=1), (face_trust.sum(dim=1) > 0).float())

    first, second = (torch.tensor(side, device=points.device) for side in zip(*_PAIRS, strict=True))
    gap = face[:, first] - face[:, second]
    relations = mean_of(robust(gap, 0.002).sum(dim=2), face_trust[:, first] * face_trust[:, second])

    # Sigma learns from errors without moving the points; the label's own uncertainty belongs to it.
    log_sigma = seen.log_sigma.float().clamp(-7.5, -1.5)
    variance = (flat.detach() ** 2).mean(dim=2).clamp(max=0.04) + label**2
    likelihood = mean_of(log_sigma + 0.5 * variance * torch.exp(-2.0 * log_sigma), known.float())

    sight = mean_of(
        F.binary_cross_entropy_with_logits(seen.visibility.float(), in_sight(batch.visible), reduction="none"),
        torch.isfinite(batch.visible).float(),
    )
    presence = F.binary_cross_entropy_with_logits(seen.presence.float()[:, 0], batch.present)
    posed = torch.isfinite(batch.rotation).flatten(1).all(dim=1)
    turn = ((seen.rotation.float() - torch.nan_to_num(batch.rotation)) ** 2).sum(dim=(1, 2))
    rotation = mean_of(turn, posed.float())

    parts = {
        "place": place, "common": common, "relations": relations, "depth": depth, "likelihood": likelihood, "sight": sight,
        "presence": presence, "rotation": rotation,
    }  # fmt: skip
    total = sum((_WEIGHTS[name] * part for name, part in parts.items()), torch.zeros((), device=points.device))
    return {"loss": total, **parts}


_WEIGHTS: Final = {
    "place": 1.0, "common": 0.5, "relations": 0.4, "depth": 0.15, "likelihood": 0.15, "sight": 0.3, "presence": 0.3,
    "rotation": 0.5,
}  # fmt: skip


def _row_mean(values: Tensor, known: Tensor) -> Tensor:
    return (values * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
