"""How well the glance does on crops with pseudo-labels, covered and not."""

from __future__ import annotations

import torch

from trainer.data.batch import Batch
from trainer.data.video.disguised import covered
from trainer.methods.encoder.measures import angle_deg
from trainer.methods.encoder.network import POINTS
from trainer.methods.glance.losses import losses
from trainer.methods.glance.network import Glance

_FEW = 0.02
_SHARES = {"bare": (0.0, _FEW), "little": (_FEW, 0.10), "some": (0.10, 0.30), "much": (0.30, 1.01)}
"""Rows by the share of landmarks behind a thing."""


class Measures:
    """Collects batches; ``rows`` says what they came to."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, list[float]]] = {}

    def add(self, seen: Glance, batch: Batch) -> None:
        """Take in a batch."""
        for name, value in losses(seen, batch).items():
            self._note("all", name, float(value))
        under = covered(batch.visible[:, :POINTS]).mean(dim=1)
        told = torch.sigmoid(seen.covered.float()).mean(dim=1)
        for row in torch.nonzero(batch.present > 0.5)[:, 0].tolist():
            share = float(under[row])
            kind = next(name for name, (low, high) in _SHARES.items() if low <= share < high)
            self._note(kind, "count", 1.0)
            self._note(kind, "share_error", 100.0 * abs(float(told[row]) - share))
            self._note(kind, "called_covered", 100.0 * float(told[row] > _FEW))
            if bool(torch.isfinite(batch.rotation[row]).all()):
                self._note(kind, "rotation_deg", angle_deg(seen.rotation[row].float(), batch.rotation[row]))
            if bool(torch.isfinite(batch.expression[row]).all()):
                wrong = torch.sigmoid(seen.scores[row].float()) - batch.expression[row]
                self._note(kind, "expression", float(wrong.abs().mean()))

    def rows(self) -> dict[str, dict[str, float]]:
        """Means; ``count`` is a sum."""
        return {
            row: {
                name: float(sum(values)) if name == "count" else float(torch.tensor(values).nanmean())
                for name, values in metrics.items()
            }
            for row, metrics in self._rows.items()
        }

    def _note(self, row: str, name: str, value: float) -> None:
        self._rows.setdefault(row, {}).setdefault(name, []).append(value)
