"""From skin points to the mesh: values at every vertex, for pictures and textures."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.points import SkinPoints
from tracker.face_model.model import FaceModel
from tracker.face_model.normals import vertex_normals

Float32 = NDArray[np.float32]

_NEAREST: Final = 5
_REACH: Final = 0.75
"""Standard deviation of a point's influence in distances between points."""
_FULL, _NONE = 1.5, 5.0
"""Distance to the nearest point, in the same unit, up to which a vertex counts as known, and from which it does not."""
_LEAST_AGREEMENT: Final = 0.3
_ROWS: Final = 256


class SkinOnMesh:
    """Carries values at skin points to the vertices of the face model."""

    def __init__(self, model: FaceModel, points: SkinPoints) -> None:
        normals = vertex_normals(model.template, model.faces)
        facing = np.einsum("pc,pcd->pd", points.barycentric, normals[points.corners])
        index = np.empty((model.vertex_count, _NEAREST), np.intp)
        distance = np.empty((model.vertex_count, _NEAREST), np.float32)
        nearest = np.empty(model.vertex_count, np.float32)
        squares = (points.template**2).sum(axis=1)
        for start in range(0, model.vertex_count, _ROWS):
            rows = slice(start, start + _ROWS)
            vertices = model.template[rows]
            squared = (vertices**2).sum(axis=1)[:, None] + squares - 2.0 * vertices @ points.template.T
            nearest[rows] = np.sqrt(np.maximum(squared.min(axis=1), 0.0))
            # The other lip is near and looks different.
            squared[normals[rows] @ facing.T < _LEAST_AGREEMENT] += 1.0
            index[rows] = np.argpartition(squared, _NEAREST, axis=1)[:, :_NEAREST]
            distance[rows] = np.sqrt(np.maximum(np.take_along_axis(squared, index[rows], axis=1), 0.0))
        beyond = (distance - distance.min(axis=1, keepdims=True)) / (_REACH * points.spacing_m)
        weight = np.exp(-0.5 * np.square(beyond)).astype(np.float32)
        self._index = index
        self._weight = weight / weight.sum(axis=1, keepdims=True)
        is_skin = model.parts == (model.part_names.index("skin") if "skin" in model.part_names else 0)
        known = np.clip((_NONE - nearest / points.spacing_m) / (_NONE - _FULL), 0.0, 1.0)
        self.known: Float32 = (known * is_skin).astype(np.float32)
        """(V,) 1 on the skin that points lie on, falling to 0 around it."""
        self.distance_m: Float32 = nearest
        """(V,) from each vertex of the relaxed mean head to the nearest point."""

    def spread(self, values: NDArray[np.floating]) -> Float32:
        """Point values (P, C) at the vertices, (V, C)."""
        spread: Float32 = np.einsum("vk,vkc->vc", self._weight, values[self._index]).astype(np.float32)
        return spread
