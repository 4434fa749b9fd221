"""Dense landmark sets: vertices of the face, in nested levels (Simic 2022, sections 3.2 and 4.4).

The thesis predicts 1609 face vertices of FLAME and fits subsets of 805, 403, 202 and 101 of them, found by mesh
simplification. Here any model's face is simplified to the same numbers: each set is a subset of the larger one, spread by
shape, and symmetric as far as the mesh is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.importing.simplification import simplify
from tracker.face_model.model import Embedding, FaceModel
from tracker.face_model.store import load_face_model

COUNTS: Final = (1609, 805, 403, 202, 101)
FACE_REGIONS: Final = (
    "forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "mouth", "chin",
    "jaw_line",
)  # fmt: skip


def set_name(count: int) -> str:
    """``dense1609`` and so on."""
    return f"dense{count}"


def face_triangles(model: FaceModel) -> NDArray[np.intp]:
    """(n,) triangles of the face's skin: from the forehead to the jaw line, without ears, scalp, neck and what lies inside.

    Raises:
        FaceModelError: the model names no such regions.
    """
    columns = [model.region_names.index(name) for name in FACE_REGIONS if name in model.region_names]
    if not columns or "skin" not in model.part_names:
        raise FaceModelError(f"face model '{model.name}' has no face regions, which dense landmark sets are taken from")
    skin = model.parts == model.part_names.index("skin")
    chosen = skin & model.regions[:, columns].any(axis=1)
    return np.flatnonzero(chosen[model.faces].all(axis=1))


def dense_embeddings(model: FaceModel, counts: tuple[int, ...] = COUNTS) -> dict[str, Embedding]:
    """Dense landmark sets of a model by name; deterministic. Takes a second or two.

    Args:
        model: with face regions.
        counts: falling sizes; those that the face has too few vertices for are left out.

    Raises:
        FaceModelError: the model names no face regions.
    """
    triangles = model.faces[face_triangles(model)]
    available = len(np.unique(triangles))
    possible = [count for count in counts if count <= available]
    if not possible:
        return {}
    levels = simplify(model.template, triangles, possible, model.mirror.astype(np.intp))
    # Any triangle around a vertex will do; the first keeps it the same on every machine.
    first = np.full(model.vertex_count, -1, np.int32)
    corner = np.zeros(model.vertex_count, np.intp)
    backwards = np.arange(len(model.faces))[::-1]
    for k in (2, 1, 0):
        first[model.faces[backwards, k]] = backwards
        corner[model.faces[backwards, k]] = k
    embeddings = {}
    for count, level in zip(possible, levels, strict=True):
        barycentric = np.eye(3, dtype=np.float32)[corner[level.kept]]
        embeddings[set_name(count)] = Embedding(first[level.kept], barycentric, np.ones(len(level.kept), np.float32))
    return embeddings


@cache
def builtin_dense_sets() -> dict[str, Embedding]:
    """The dense sets of the built-in head, found once per process. Imported models carry the same points under the same
    names, so that an encoder's dense landmarks fit any of them.
    """
    return dense_embeddings(load_face_model())


def with_dense_sets(model: FaceModel, counts: tuple[int, ...] = COUNTS) -> FaceModel:
    """The same model with its dense landmark sets among the embeddings; see ``dense_embeddings``."""
    return replace(model, embeddings={**model.embeddings, **dense_embeddings(model, counts)})
