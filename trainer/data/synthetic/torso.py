"""Shoulders in cloth below the neck."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.face_model.model import FaceModel
from trainer.image_formation.rotations import matrix_from_rotvec

_ROWS: Final = 8
_COLUMNS: Final = 32


class Torso:
    """A mesh that hangs on the neck of one head model."""

    def __init__(self, model: FaceModel, device: torch.device) -> None:
        foot = float(model.template[:, 1].min())
        neck = model.template[model.template[:, 1] < foot + 0.045]
        middle = (neck.min(axis=0) + neck.max(axis=0)) / 2.0
        half = np.ptp(neck, axis=0) / 2.0
        turn = np.arange(_COLUMNS) / _COLUMNS * 2.0 * np.pi
        # The inside of the collar comes first: what is seen between it and the neck.
        lip = np.full(_COLUMNS, foot - 0.03)
        rows = [np.stack([0.8 * half[0] * np.sin(turn), lip, middle[2] + 0.8 * half[2] * np.cos(turn)], axis=1)]
        for t in np.linspace(0.0, 1.0, _ROWS):
            # From a collar that stands around the neck over shoulders that fall away in a flat S.
            across = half[0] * (1.06 + 0.10 * t) + 0.165 * t**0.9
            deep = half[2] * (1.06 + 0.10 * t) + 0.05 * t
            fall = 0.036 - 0.012 * np.sin(turn) - (0.05 * t + 0.16 * np.clip(t - 0.55, 0.0, None) ** 1.5 * 4.0)
            rows.append(np.stack([across * np.sin(turn), foot + fall, middle[2] + deep * np.cos(turn)], axis=1))
        low = rows[-1].copy()
        low[:, 1] -= 0.4
        rows.append(low)
        self._rest = torch.tensor(np.concatenate(rows), dtype=torch.float32, device=device)
        self._pivot = torch.tensor([0.0, foot + 0.01, middle[2]], dtype=torch.float32, device=device)
        self.faces = _faces(_ROWS + 2)

    def __call__(self, angles: Tensor, size: Tensor) -> Tensor:
        """Vertices (B, T, 3) in head axes.

        Args:
            angles: (B, 3) how the torso is turned against the head: axis-angle, head axes.
            size: (B, 2) factor on its width and its slope.
        """
        rest = (self._rest - self._pivot) * torch.stack([size[:, 0], size[:, 1], torch.ones_like(size[:, 0])], 1)[
            :, None
        ]
        return rest @ matrix_from_rotvec(angles).transpose(1, 2) + self._pivot


def _faces(rows: int) -> NDArray[np.int64]:
    r, c = (grid.ravel() for grid in np.meshgrid(np.arange(rows - 1), np.arange(_COLUMNS), indexing="ij"))
    a, b = r * _COLUMNS + c, r * _COLUMNS + (c + 1) % _COLUMNS
    return np.concatenate([np.stack([a, a + _COLUMNS, b], 1), np.stack([b, a + _COLUMNS, b + _COLUMNS], 1)])
