"""How well the encoder does on crops with pseudo-labels, covered and not; all in % of the eye distance unless named otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.data.batch import Batch
from trainer.data.video.disguised import in_sight
from trainer.methods.encoder.losses import losses
from trainer.methods.encoder.network import POINTS, Seen

_COVERED = 0.05


class Measures:
    """Collects batches; ``rows`` says what they came to."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, list[float]]] = {}

    def add(self, seen: Seen, batch: Batch) -> None:
        """Take in a batch."""
        self._note("all", "loss", float(losses(seen, batch)["loss"]))
        present = batch.present > 0.5
        right = (seen.presence[:, 0] > 0) == present
        self._note("all", "presence", 100.0 * float(right.float().mean()))
        for row in torch.nonzero(present)[:, 0].tolist():
            self._face(seen, batch, row)

    def _face(self, seen: Seen, batch: Batch, row: int) -> None:
        truth, found = batch.points[row, :POINTS, :2], seen.points[row, :POINTS, :2].float()
        apart = (truth[33] - truth[263]).norm()
        offset = (found - truth) / apart * 100.0
        length = offset.norm(dim=1)
        hidden = batch.visible[row, :POINTS] == 0
        covered = float(hidden.float().mean()) > _COVERED
        kind = "covered" if covered else "bare"
        self._note(kind, "in_sight", float(length[~hidden].mean()) if bool((~hidden).any()) else float("nan"))
        self._note(kind, "common_shift", float(offset.mean(dim=0).norm()))
        sigma = torch.exp(seen.log_sigma[row, :POINTS].float()) / apart * 100.0
        self._note(kind, "sigma_in_sight", float(sigma[~hidden].mean()) if bool((~hidden).any()) else float("nan"))
        if covered:
            self._note(kind, "hidden", float(length[hidden].mean()))
            self._note(kind, "sigma_hidden", float(sigma[hidden].mean()))
        known = torch.isfinite(batch.visible[row, :POINTS])
        if bool(known.any()):
            right = (seen.visibility[row, :POINTS] > 0) == (in_sight(batch.visible[row, :POINTS]) > 0.5)
            self._note(kind, "visibility", 100.0 * float(right[known].float().mean()))
        if bool(torch.isfinite(batch.rotation[row]).all()):
            self._note(kind, "rotation_deg", angle_deg(seen.rotation[row].float(), batch.rotation[row]))

    def rows(self) -> dict[str, dict[str, float]]:
        """Means."""
        return {
            row: {name: float(torch.tensor(values).nanmean()) for name, values in metrics.items()}
            for row, metrics in self._rows.items()
        }

    def _note(self, row: str, name: str, value: float) -> None:
        self._rows.setdefault(row, {}).setdefault(name, []).append(value)


def angle_deg(found: Tensor, true: Tensor) -> float:
    """Degrees between two rotations (3, 3)."""
    cosine = ((found * true).sum() - 1.0) / 2.0
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1.0, 1.0))))
