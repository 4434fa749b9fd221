"""Which landmarks a run has: those of the built-in head, or a face model's own, found again among the built-in head's.

Crops are labelled with the 1609 landmarks of the built-in head. Any imported model carries those on its own surface, so that
each of its own vertices lies in a triangle between three of them: its label is their weighted mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.errors import FaceModelError
from tracker.face_model import FaceModel
from tracker.face_model.importing.registration.surface import Surface
from tracker.face_model.store import BUILTIN_NAME, load_face_model
from trainer.networks.landmark_mesh import LandmarkMesh, builtin_mesh, landmark_mesh

FULL_SET: Final = "dense1609"
_FARTHEST_M: Final = 0.004
"""From the surface that the 1609 landmarks span: farther out a label would be a guess."""


@dataclass(frozen=True, slots=True)
class Between:
    """Landmarks as places between three of the built-in head's 1609."""

    corners: Tensor
    """(L, 3) long."""
    share: Tensor
    """(L, 3), rows sum to 1."""
    known: Tensor
    """(L,) bool: false for landmarks outside what the 1609 span."""

    def points(self, full: Tensor) -> Tensor:
        """(B, 1609, D) to (B, L, D); NaN where a corner that counts is, and where nothing is known."""
        weighted = torch.where(self.share[..., None] > 0, full[:, self.corners] * self.share[..., None], 0.0)
        return torch.where(self.known[:, None], weighted.sum(dim=2), torch.nan)

    def nearest(self, full: Tensor) -> Tensor:
        """(B, 1609) to (B, L): the value of the corner that counts most."""
        return full[:, self.corners.gather(1, self.share.argmax(dim=1, keepdim=True))[:, 0]]


@cache
def mesh_of(face_model: str, landmark_set: str) -> LandmarkMesh:
    """The mesh of a dense set of a face model, by its name.

    Raises:
        FaceModelError: there is no such model, or it names no face regions.
        ConfigError: its face has too few vertices for the set.
    """
    if face_model == BUILTIN_NAME:
        return builtin_mesh(landmark_set)
    return landmark_mesh(load_face_model(face_model), landmark_set)


@cache
def between(face_model: str, landmark_set: str) -> Between:
    """Where the landmarks of a face model's dense set lie among the built-in head's 1609.

    Raises:
        FaceModelError: the model was imported without them.
    """
    if face_model == BUILTIN_NAME:
        rows = torch.as_tensor(rows_of(landmark_set))
        share = torch.zeros(len(rows), 3)
        share[:, 0] = 1.0
        return Between(rows[:, None].expand(-1, 3), share, torch.ones(len(rows), dtype=torch.bool))
    return _on(load_face_model(face_model), mesh_of(face_model, landmark_set))


def rows_of(landmark_set: str) -> NDArray[np.int64]:
    """Which of the 1609 landmarks a smaller dense set of the built-in head consists of, in its order."""
    every = builtin_mesh(FULL_SET).levels[0].model_vertices
    return np.searchsorted(every, builtin_mesh(landmark_set).levels[0].model_vertices).astype(np.int64)


def _on(model: FaceModel, mesh: LandmarkMesh) -> Between:
    if FULL_SET not in model.embeddings:
        raise FaceModelError(
            f"face model '{model.name}' does not know where the built-in head's {FULL_SET} lie on it; "
            "import it again: tracker models import PATH"
        )
    places: NDArray[Any] = model.landmarks(model.template, FULL_SET)
    surface = Surface(places, builtin_mesh(FULL_SET).levels[0].faces)
    found = surface.nearest(mesh.levels[0].vertices)
    known = torch.as_tensor(found.distance <= _FARTHEST_M)
    return Between(
        torch.as_tensor(surface.faces[found.faces]).long(), torch.as_tensor(found.barycentric).float(), known
    )
