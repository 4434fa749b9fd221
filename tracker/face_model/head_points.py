"""Landmarks over the whole head: the 478 points of the face, and points spread over ears, skull, jaw and nape around them.

The points around are vertices of the built-in head's skin, taken one after the other (with their mirror image) as the farthest
from all points so far: the same on every machine, evenly spread, symmetric.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.model import Embedding, FaceModel
from tracker.face_model.store import load_face_model

HEAD_POINTS: Final = "head_points"
HEAD_POINT_COUNT: Final = 150
HEAD_SET: Final = "head628"
"""``mediapipe478`` followed by ``head_points``."""
FACE_SET: Final = "mediapipe478"
_LOWEST_M: Final = -0.125
"""Below this the neck ends, at a place that no picture shows."""
_MIDLINE_M: Final = 2e-3
_DENSITY: Final = {"ear_left": 2.2, "ear_right": 2.2, "neck": 0.8, "scalp": 0.9}
"""How much closer points lie than on the rest of the head: ears are small and full of shape."""


def landmark_embedding(model: FaceModel, set_name: str) -> Embedding:
    """Where the points of a landmark set lie on a model, the sets that are derived from the mesh included.

    Args:
        model: the built-in head, or for sets that it has itself any model.
        set_name: ``mediapipe478``, ``ibug68``, ``dense1609`` to ``dense101``, ``head_points``, ``head628``.

    Raises:
        FaceModelError: the model has no such set.
    """
    if set_name in model.embeddings:
        return model.embeddings[set_name]
    if model.sha256 == load_face_model().sha256:
        if set_name == HEAD_POINTS:
            return _head_points()
        if set_name == HEAD_SET:
            return joined(model.embedding(FACE_SET), _head_points())
        if set_name.startswith("dense"):
            from tracker.face_model.importing.dense_sets import builtin_dense_sets

            sets = builtin_dense_sets()
            if set_name in sets:
                return sets[set_name]
    return model.embedding(set_name)


def with_landmarks(model: FaceModel, set_name: str) -> FaceModel:
    """The same model with an embedding of that landmark set. Raises ``FaceModelError`` when there is none for it."""
    if set_name in model.embeddings:
        return model
    return replace(model, embeddings={**model.embeddings, set_name: landmark_embedding(model, set_name)})


def joined(first: Embedding, second: Embedding) -> Embedding:
    """The points of one embedding, then those of the other."""
    return Embedding(
        np.concatenate([first.faces, second.faces]),
        np.concatenate([first.barycentric, second.barycentric]),
        np.concatenate([first.weight, second.weight]),
        max(first.uncertainty_m, second.uncertainty_m),
    )


@cache
def _head_points() -> Embedding:
    model = load_face_model()
    faces, barycentric = _at_vertices(model, head_point_vertices())
    return Embedding(faces, barycentric, np.ones(len(faces), np.float32))


@cache
def head_point_vertices() -> tuple[int, ...]:
    """Vertices of the built-in head that ``head_points`` are, in the order of choice: each followed by its mirror image."""
    model = load_face_model()
    place = model.template.astype(np.float64)
    # What lies inside the nostrils belongs to the nose.
    inner = model.regions[:, [model.region_names.index(name) for name in ("nose", "mouth", "eye_left", "eye_right")]]
    allowed = (model.parts == model.part_names.index("skin")) & (place[:, 1] > _LOWEST_M) & ~inner.any(axis=1)
    taken = model.landmarks(model.template, FACE_SET).astype(np.float64)
    nearest = np.full(len(place), np.inf)
    for point in taken:
        nearest = np.minimum(nearest, ((place - point) ** 2).sum(axis=1))
    density = np.ones(len(place))
    for name, factor in _DENSITY.items():
        density[model.regions[:, model.region_names.index(name)]] = factor
    nearest *= density**2
    nearest[~allowed] = -1.0
    chosen: list[int] = []
    while len(chosen) < HEAD_POINT_COUNT:
        vertex = int(np.argmax(nearest))
        partner = int(model.mirror[vertex])
        pair = [vertex] if abs(place[vertex, 0]) < _MIDLINE_M else [vertex, partner]
        if len(chosen) + len(pair) > HEAD_POINT_COUNT or not allowed[pair].all():
            nearest[vertex] = -1.0
            continue
        for one in pair:
            chosen.append(one)
            squared = ((place - place[one]) ** 2).sum(axis=1) * density**2
            nearest = np.where(nearest < 0.0, -1.0, np.minimum(nearest, squared))
    return tuple(chosen)


def _at_vertices(model: FaceModel, vertices: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    triangle = np.zeros(len(vertices), np.int32)
    barycentric = np.zeros((len(vertices), 3), np.float32)
    for row, vertex in enumerate(vertices):
        found, corner = np.nonzero(model.faces == vertex)
        if not len(found):
            raise FaceModelError(f"face model '{model.name}': vertex {vertex} belongs to no triangle")
        triangle[row], barycentric[row, corner[0]] = found[0], 1.0
    return triangle, barycentric
