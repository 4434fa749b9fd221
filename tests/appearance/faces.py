"""Pictures of the built-in head under spherical harmonics light, and faces as the fit would report them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import sh_basis
from tracker.appearance.shadows import shadow_transfer, turned
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.face_model.normals import vertex_normals
from tracker.rendering.rasterizer import Raster, rasterize
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec, quaternion_from_matrix
from tracker.srgb import from_linear
from tracker.types import Face, FaceParams, Landmarks

CAMERA = Camera.for_image(320, 240)
SKIN = np.array([0.55, 0.32, 0.24], np.float32)


def params_at(yaw: float = 0.0, x: float = 0.0) -> FaceParams:
    """The relaxed head 0.4 m away, turned by ``yaw`` radians."""
    turned = np.diag([1.0, -1.0, -1.0]) @ matrix_from_rotvec(np.array([0.0, yaw, 0.0]))
    neutral = load_face_model().neutral_params()
    place = np.array([x, 0.0, 0.4], np.float32)
    return replace(neutral, rotation=head_rotvec_from_matrix(turned).astype(np.float32), translation=place)


def face_of(params: FaceParams | None = None, face_id: int = 1) -> Face:
    """A perfectly fitted face."""
    params = params or params_at()
    model = load_face_model()
    quaternion = quaternion_from_matrix(matrix_from_rotvec(params.rotation)).astype(np.float32)
    return Face(
        id=face_id, tracked=True, confidence=1.0, age=0, box=np.array([90, 50, 130, 150], np.float32), params=params, raw=params,
        identity=np.zeros(model.identity_count, np.float32), identity_version=1, position=params.translation,
        quaternion=quaternion, arkit=np.zeros(52, np.float32), gaze_left=np.zeros(2, np.float32),
        gaze_right=np.zeros(2, np.float32), residual_px=0.0,
        landmarks=Landmarks("mediapipe478", np.zeros((478, 3), np.float32), np.ones(478, np.float32)),
    )  # fmt: skip


@cache
def _view(yaw: float, x: float) -> tuple[Raster, NDArray[np.float32]]:
    model, params = load_face_model(), params_at(yaw, x)
    vertices = model.vertices_camera(np.zeros(model.identity_count, np.float32), params)
    raster = rasterize(CAMERA.project(vertices), vertices[:, 2], model.faces, CAMERA.width, CAMERA.height)
    normals = np.ascontiguousarray(vertex_normals(vertices, model.faces).T)
    turn = matrix_from_rotvec(params.rotation).astype(np.float32)
    return raster, sh_basis(normals) + turned(_shadows(), turn)


@cache
def _shadows() -> NDArray[np.float32]:
    model = load_face_model()
    return shadow_transfer(model.template, vertex_normals(model.template, model.faces), model.template)


def lit_picture(
    sh: NDArray[np.floating], albedo: NDArray[np.floating] | None = None, yaw: float = 0.0, x: float = 0.0
) -> NDArray[np.uint8]:
    """A matte head of vertex reflectance (V, 3) or plain skin under ``sh`` (9, 3), before a grey wall; sRGB."""
    raster, harmonics = _view(yaw, x)
    light = np.maximum(harmonics.T @ np.asarray(sh, np.float32), 0.0)
    colour = light * (SKIN if albedo is None else albedo)
    picture = raster.image(raster.interpolate(np.clip(colour, 0.0, 1.0)), 0.2)
    return np.round(from_linear(picture) * 255.0).astype(np.uint8)
