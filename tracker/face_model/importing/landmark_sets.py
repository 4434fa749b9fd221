"""Landmark embeddings of a head: carried over from the built-in one, or the file's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.importing.anatomy import sphere
from tracker.face_model.importing.dense_sets import builtin_dense_sets
from tracker.face_model.importing.registration.correspondence import Correspondence
from tracker.face_model.importing.registration.head_template import IRISES, head_template
from tracker.face_model.importing.registration.surface import Surface
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.model import Embedding
from tracker.face_model.normals import vertex_normals

Float64 = NDArray[np.float64]

_DOUBTFUL: Final = 0.3
"""Weight left to points where the surfaces lie apart."""
_APART_M: Final = 0.004
_SURE: Final = 0.5
"""Points that the network sees alike from all sides tell how well heads were registered; others tell of the network."""


@dataclass(frozen=True, slots=True)
class LandmarkSet:
    """An embedding and how far the file's own points lie from the registered ones."""

    embedding: Embedding
    own_points: int
    """Points that the file brought."""
    own_apart_m: Float64
    """(own_points,) metres from the file's points to the registered ones."""


def find_landmarks(
    source: SourceModel, parts: NDArray[np.int8], part_names: tuple[str, ...], correspondence: Correspondence
) -> dict[str, LandmarkSet]:
    """Embeddings of the built-in head's landmark sets, dense ones included; points that the file brings are the file's."""
    found = {}
    for name, known in {**head_template().model.embeddings, **builtin_dense_sets()}.items():
        embedding = _carried(name, known, source, parts, part_names, correspondence)
        own = source.embeddings.get(name)
        apart = np.zeros(0)
        if own is not None:
            rows = np.flatnonzero(own.weight > 0.0)
            apart = np.linalg.norm(_points(source, own) - _points(source, embedding), axis=1)[rows]
            apart = apart * correspondence.to_builtin.scale
            embedding = replace(
                embedding,
                faces=embedding.faces.copy(),
                barycentric=embedding.barycentric.copy(),
                weight=embedding.weight.copy(),
            )
            embedding.faces[rows], embedding.barycentric[rows] = own.faces[rows], own.barycentric[rows]
            # A contour point of the file slides as much as any.
            embedding.weight[rows] = np.minimum(own.weight[rows], np.maximum(embedding.weight[rows], _DOUBTFUL))
        found[name] = LandmarkSet(embedding, len(apart), apart)
    return found


def _points(source: SourceModel, embedding: Embedding) -> Float64:
    points: Float64 = np.einsum(
        "lk,lki->li", embedding.barycentric.astype(np.float64), source.template[source.faces[embedding.faces]]
    )
    return points


def _carried(
    name: str,
    own: Embedding,
    source: SourceModel,
    parts: NDArray[np.int8],
    part_names: tuple[str, ...],
    correspondence: Correspondence,
) -> Embedding:
    builtin = head_template().model
    corners = builtin.faces[own.faces]
    normals = vertex_normals(correspondence.deformed, builtin.faces.astype(np.intp))
    points = np.einsum("lk,lki->li", own.barycentric, correspondence.deformed[corners])
    facing = np.einsum("lk,lki->li", own.barycentric, normals[corners])
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
    skin = np.flatnonzero((parts[source.faces] == part_names.index("skin")).any(axis=1))
    place = Surface(source.template, source.faces, skin).nearest(points, facing, 0.2)
    faces, barycentric = place.faces.copy(), place.barycentric.copy()
    weight = own.weight.astype(np.float64).copy()
    weight[place.distance * correspondence.to_builtin.scale > _APART_M] *= _DOUBTFUL
    if name == "mediapipe478":
        _place_irises(source, parts, part_names, correspondence, faces, barycentric, weight)
    return Embedding(
        faces.astype(np.int32),
        barycentric.astype(np.float32),
        weight.astype(np.float32),
        _uncertainty_m(correspondence),
    )


def _uncertainty_m(correspondence: Correspondence) -> float:
    """RMS distance of the points that the network saw on both heads, metres."""
    sure = correspondence.landmark_weight > _SURE
    apart = correspondence.landmark_residual_m[sure]
    return float(np.sqrt(np.mean(apart**2))) if len(apart) else 0.0


def _place_irises(
    source: SourceModel,
    parts: NDArray[np.int8],
    part_names: tuple[str, ...],
    correspondence: Correspondence,
    faces: NDArray[np.intp],
    barycentric: Float64,
    weight: Float64,
) -> None:
    """Irises lie on the eyeballs in the directions in which they lie on the built-in head's, which looks straight ahead."""
    builtin = head_template().model
    corners = builtin.faces[builtin.embedding("mediapipe478").faces]
    points = np.einsum("lk,lki->li", builtin.embedding("mediapipe478").barycentric, builtin.template[corners])
    scale = correspondence.to_builtin.scale
    turn = correspondence.to_builtin.inverse.rotation
    for ids, name, joint in ((IRISES[5:], "eye_left", 3), (IRISES[:5], "eye_right", 4)):
        index = np.array(ids)
        rows = np.flatnonzero(parts == part_names.index(name)) if name in part_names else np.zeros(0, np.intp)
        if len(rows) < 12:
            # Without an eyeball nothing under the point turns with the gaze, and the fit would pull the face instead.
            weight[index] = 0.0
            continue
        _, centre = sphere(source.template[rows].astype(np.float64))
        # Irises of grown people measure the same whatever the size of the eyeball that was modelled.
        arms = (points[index] - builtin.joint_template[joint]) @ turn.T / scale
        ball = np.flatnonzero((parts[source.faces] == part_names.index(name)).all(axis=1))
        surface = Surface(source.template, source.faces, ball)
        radius = float(np.median(np.linalg.norm(source.template[rows] - centre, axis=1)))
        across = arms[:, :2]
        depth = np.sqrt(np.maximum(radius**2 - (across**2).sum(axis=1), 0.0))
        place = surface.nearest(centre + np.column_stack([across, depth]))
        faces[index], barycentric[index] = place.faces, place.barycentric
        weight[index] = builtin.embedding("mediapipe478").weight[index]
