"""Which landmarks are in sight, by the fitted head and by what the encoder says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.face_model.normals import vertex_normals
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face, Float32

_AWAY: Final = -0.2
_TOWARDS: Final = 0.2
"""Cosine between the normal of a landmark and the way to the camera, surely turned away and surely not."""
_NEAREST_M: Final = 1e-3
"""A landmark nearer to the camera than this is no face's."""


class LandmarkSight:
    """Probability that each landmark of a fitted face is in sight.

    By three things: whether its surface faces the camera (a head is round enough that this says most of what it hides of itself;
    docs/wire.md tells what it misses), whether it lies in the picture, and whether something was found in front of it.

    Args:
        model: the face model that faces are fitted with.
        set_name: the landmark set of the observations.
    """

    def __init__(self, model: FaceModel, set_name: str) -> None:
        embedding = model.embedding(set_name)
        normals = vertex_normals(model.template, model.faces)
        at_points = np.einsum("lc,lcd->ld", embedding.barycentric, normals[model.faces[embedding.faces]])
        at_points /= np.maximum(np.linalg.norm(at_points, axis=1, keepdims=True), 1e-12)
        self._normals: Float32 = at_points.astype(np.float32)
        self._points: Float32 = model.landmarks(model.template, set_name)
        self._squares: Float32 = (self._points * self._points).sum(axis=1)
        self._heights: Float32 = (self._points * self._normals).sum(axis=1)

    def __call__(self, face: Face, camera: Camera, covered: Float32 | None = None) -> Face:
        """``face`` with the visibility of its landmarks; where its encoder tells it, too, the lesser of both.

        Args:
            face: as fitted; the pose is that in front of the camera, whatever it was recentred to.
            camera: of the picture, whose edges hide what lies beyond.
            covered: (N,) probability that something is in front of each landmark, where that is estimated.
        """
        # In head axes, where the points p, their normals n and what follows from both alone stay as they are: c is the camera.
        rotation = matrix_from_rotvec(face.params.rotation)
        camera_at: Float32 = (-rotation.T @ face.params.translation).astype(np.float32)
        distance_sq = self._squares - 2.0 * (self._points @ camera_at) + camera_at @ camera_at
        cosine = (self._normals @ camera_at - self._heights) / np.sqrt(np.maximum(distance_sq, _NEAREST_M**2))
        ramp = np.minimum(np.maximum((cosine - _AWAY) / (_TOWARDS - _AWAY), 0.0), 1.0)
        x, y = face.landmarks.points[:, 0], face.landmarks.points[:, 1]
        inside = (x >= 0) & (x <= camera.width) & (y >= 0) & (y <= camera.height)
        free = 1.0 if covered is None else 1.0 - np.clip(covered, 0.0, 1.0)
        visibility: Float32 = (ramp * ramp * (3.0 - 2.0 * ramp) * inside * free).astype(np.float32)
        if face.landmarks.visibility is not None:
            visibility = np.minimum(visibility, face.landmarks.visibility)
        return replace(face, landmarks=replace(face.landmarks, visibility=visibility))
