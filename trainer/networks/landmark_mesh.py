"""The mesh that dense landmarks span, and its coarser levels (Simic 2022, section 3.3.2; Ranjan 2018, CoMA)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import ConfigError
from tracker.face_model import FaceModel
from tracker.face_model.importing.dense_sets import COUNTS, face_triangles, set_name
from tracker.face_model.importing.simplification import Simplified, sampling_matrices, simplify
from tracker.face_model.store import load_face_model

Int = NDArray[np.intp]

COARSE_COUNTS: Final = (51, 26)
"""Levels below the smallest landmark set, for decoders to begin at."""


@dataclass(frozen=True, slots=True)
class MeshLevel:
    """One level of a pyramid of meshes."""

    vertices: NDArray[np.float32]
    """(n, 3) metres, the neutral mean face in head axes."""
    faces: Int
    """(m, 3) triangles in this level's numbers."""
    model_vertices: Int
    """(n,) the face model's vertices."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Q_d and Q_u between two levels, as rows to gather."""

    kept: Int
    """(coarse,) Q_d: the finer level's vertices that stay."""
    corners: Int
    """(fine, 3) Q_u: the coarser level's vertices that each finer one lies between,"""
    share: NDArray[np.float32]
    """(fine, 3) and how much of each it takes."""


@dataclass(frozen=True, slots=True)
class LandmarkMesh:
    """A dense landmark set as a mesh: level 0 is the set itself, in the order of its embedding."""

    levels: tuple[MeshLevel, ...]
    samplings: tuple[Sampling, ...]
    """One between each level and the next coarser one."""

    @property
    def count(self) -> int:
        return len(self.levels[0].vertices)

    def edges(self) -> Int:
        """(E, 2) each edge of the finest level once, ascending."""
        faces = self.levels[0].faces
        sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        return np.unique(np.sort(sides, axis=1), axis=0)


def landmark_mesh(model: FaceModel, landmark_set: str, factor: int = 4, depth: int = 3) -> LandmarkMesh:
    """The mesh of one of the sets that ``dense_embeddings`` makes, with coarser levels. Deterministic; takes half a second.

    Args:
        model: with face regions.
        landmark_set: ``dense1609`` to ``dense101``.
        factor: 2 or 4, by how much each level is coarser than the one before.
        depth: most levels below the finest; sets that are small already have fewer.

    Raises:
        ConfigError: the set is none of the dense ones, or the model's face has fewer vertices than it.
        FaceModelError: the model has no face regions.
    """
    names = [set_name(count) for count in COUNTS]
    if landmark_set not in names:
        raise ConfigError(f"expected a dense landmark set out of {', '.join(names)}, got '{landmark_set}'")
    triangles = model.faces[face_triangles(model)].astype(np.intp)
    available = len(np.unique(triangles))
    counts = [count for count in (*COUNTS, *COARSE_COUNTS) if count <= available]
    wanted = COUNTS[names.index(landmark_set)]
    if wanted not in counts:
        raise ConfigError(f"the face of model '{model.name}' has {available} vertices, too few for {landmark_set}")
    # The same falling counts as the landmark sets': what stays at a level depends on those before.
    chain = simplify(model.template, triangles, counts, model.mirror.astype(np.intp))
    first = counts.index(wanted)
    chosen = chain[first :: 1 if factor == 2 else 2][: depth + 1]
    levels = tuple(MeshLevel(model.template[level.kept], level.faces, level.kept) for level in chosen)
    samplings = tuple(_between(fine, coarse) for fine, coarse in pairwise(levels))
    return LandmarkMesh(levels, samplings)


@cache
def builtin_mesh(landmark_set: str, factor: int = 4, depth: int = 3) -> LandmarkMesh:
    """``landmark_mesh`` of the built-in head, made once per process."""
    return landmark_mesh(load_face_model(), landmark_set, factor, depth)


def _between(fine: MeshLevel, coarse: MeshLevel) -> Sampling:
    kept = np.searchsorted(fine.model_vertices, coarse.model_vertices)
    down, up = sampling_matrices(fine.vertices, Simplified(kept, coarse.faces))
    corners, share = up[1].reshape(-1, 3), up[2].reshape(-1, 3)
    return Sampling(down[1].astype(np.intp), corners.astype(np.intp), share.astype(np.float32))
