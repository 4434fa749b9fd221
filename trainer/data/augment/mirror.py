"""What becomes of labels when a face is mirrored: left and right change places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.face_model import FaceModel

_FARTHEST_PARTNER_M: Final = 3e-3
_WORST_IDENTITY: Final = 0.05


@dataclass(frozen=True, slots=True)
class Mirror:
    """How the labels of one landmark set and face model are mirrored."""

    points: Tensor
    """(N,) long: the mirrored face's point k is the original's point ``points[k]``; -1 where the set has no partner."""
    expression: Tensor
    """(52,) long, for weights in ``ARKIT_NAMES`` order."""
    identity: Tensor
    """(Ni, Ni): coefficients of the mirrored head are ``identity @ b``. NaN for a model that cannot make its mirror image."""

    @classmethod
    def of(cls, model: FaceModel, landmark_set: str) -> Mirror:
        """The mirror of a face model's landmark set.

        Raises:
            FaceModelError: the model has no such set.
        """
        return cls.of_points(model, model.landmarks(model.template, landmark_set))

    @classmethod
    def of_points(cls, model: FaceModel, positions: np.ndarray) -> Mirror:
        """The mirror of points at ``positions`` (N, 3) on the model's template, head axes, metres."""
        return cls(_partners(positions), torch.tensor(_mirrored_names()), _identity(model))


def _partners(positions: np.ndarray) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    flipped = positions * np.array([-1.0, 1.0, 1.0])
    distance = np.linalg.norm(positions[:, None] - flipped[None], axis=2)
    _, partner = linear_sum_assignment(distance)
    far = distance[np.arange(len(partner)), partner] > _FARTHEST_PARTNER_M
    return torch.from_numpy(np.where(far, -1, partner))


def _mirrored_names() -> list[int]:
    swap = {"Left": "Right", "Right": "Left"}
    partners = []
    for name in ARKIT_NAMES:
        side = next((side for side in swap if name.endswith(side)), None)
        partners.append(ARKIT_INDEX[name if side is None else name.removesuffix(side) + swap[side]])
    return partners


def _identity(model: FaceModel) -> Tensor:
    """The least-squares mirror of the basis: exact for bases of symmetric and antisymmetric shapes."""
    basis = model.identity_basis.astype(np.float64)
    flipped = basis[model.mirror] * np.array([-1.0, 1.0, 1.0])[None, :, None]
    a, b = basis.reshape(-1, basis.shape[2]), flipped.reshape(-1, basis.shape[2])
    matrix = np.linalg.lstsq(a, b, rcond=None)[0]
    if np.linalg.norm(a @ matrix - b) > _WORST_IDENTITY * max(float(np.linalg.norm(b)), 1e-12):
        matrix[:] = np.nan
    return torch.from_numpy(matrix).float()
