"""A painted head before a camera, as picture and as an encoder would report it: what fits with a picture are tested on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.appearance.faces import CAMERA, SKIN, lit_picture, params_at
from tracker.face_model import load_face_model
from tracker.types import FaceObservation, Landmarks

SET = "mediapipe478"


def blotchy_skin() -> NDArray[np.float32]:
    """Reflectance (V, 3) with spots of about a centimetre, the same on both sides."""
    model = load_face_model()
    rng = np.random.default_rng(3)
    place = model.template * np.array([1.0, 1.0, 1.0])
    place[:, 0] = np.abs(place[:, 0])
    waves = sum(np.sin(place @ rng.normal(0.0, 220.0, 3) + rng.uniform(0, 6)) for _ in range(8))
    return (SKIN * np.exp(0.12 * waves)[:, None]).astype(np.float32)


def even_light() -> NDArray[np.float32]:
    sh = np.zeros((9, 3), np.float32)
    sh[0], sh[2], sh[3] = 2.0, -0.5, 0.3
    return sh


def picture(x: float = 0.0, yaw: float = 0.0, skin: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
    return lit_picture(even_light(), blotchy_skin() if skin is None else skin, yaw, x)


def with_hand(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Something dark over the subject's right half of the lower face."""
    covered = image.copy()
    covered[118:210, 90:158] = (70, 55, 50)
    return covered


def observation(x: float = 0.0, yaw: float = 0.0, dragged_px: float = 0.0) -> FaceObservation:
    """Landmarks of the head at ``x`` metres, all of them ``dragged_px`` to the right of where they should be."""
    model = load_face_model()
    params = params_at(yaw, x)
    vertices = model.vertices_camera(np.zeros(model.identity_count, np.float32), params)
    points = model.landmarks(vertices, SET)
    pixels = np.column_stack([CAMERA.project(points), (points[:, 2] - 0.4) * CAMERA.focal_px / 0.4]).astype(np.float32)
    pixels[:, 0] += dragged_px
    low, high = pixels[:, :2].min(axis=0), pixels[:, :2].max(axis=0)
    return FaceObservation(
        face_id=1, age=0, landmarks=Landmarks(SET, pixels, np.full(len(pixels), 1.0, np.float32)), presence=1.0,
        box=np.concatenate([low, high - low]).astype(np.float32), arkit_hint=np.zeros(52, np.float32),
    )  # fmt: skip
