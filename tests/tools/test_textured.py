"""Skin comes off pictures as it was put on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tools.evaluation import ict, textured
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.rendering import unwrap
from tracker.rendering.contours import LANDMARK_SET
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import SKIN_PX, Complexion, paint_face
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.types import Face, Landmarks

CAMERA = Camera.for_image(640, 640)


def _picture(scene: FaceScene, yaw: float) -> tuple[np.ndarray, Face]:
    model = scene.model
    rotation = matrix_from_rotvec(np.array([np.pi, 0.0, 0.0])) @ matrix_from_rotvec(np.array([0.0, yaw, 0.0]))
    params = replace(
        model.neutral_params(),
        rotation=head_rotvec_from_matrix(rotation).astype(np.float32),
        translation=np.array([0.0, 0.0, 0.42], np.float32),
    )
    identity = np.zeros(model.identity_count, np.float32)
    points = CAMERA.project(model.landmarks(model.vertices_camera(identity, params), LANDMARK_SET))
    seen = np.concatenate([points, np.zeros((len(points), 1))], axis=1).astype(np.float32)
    nothing = np.zeros(3, np.float32)
    face = Face(
        0, True, 1.0, 0, np.array([0, 0, 1, 1], np.float32), params, params, identity, 0, nothing, nothing,
        np.zeros(52, np.float32), nothing, nothing, Landmarks(LANDMARK_SET, seen, np.ones(len(seen), np.float32)), 0.0,
    )  # fmt: skip
    return scene.render(identity, params, CAMERA), face


def test_unwrapped_skin_is_the_skin_that_was_rendered() -> None:
    model = load_face_model()
    complexion = Complexion(stubble=0.6, seed=3)
    scene = FaceScene(model, complexion)
    found = unwrap.unwrap([_picture(scene, yaw) for yaw in (0.0, 0.45, -0.45)])
    true = (paint_face(model, complexion).atlas[:SKIN_PX].astype(np.float32) / 255.0) ** 2
    assert found.shape == true.shape
    assert np.isfinite(found).all()
    # The middle of the face, whose texels the pictures show; what matters is where things are, not how bright the lamp was.
    middle = (slice(380, 700, 4), slice(380, 640, 4))
    for channel in range(3):
        assert np.corrcoef(found[middle][..., channel].ravel(), true[middle][..., channel].ravel())[0, 1] > 0.8


def test_light_is_told_from_skin() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(4000, 3)).astype(np.float32)
    normal[:, 2] = -np.abs(normal[:, 2])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    light = (1.0 + 0.4 * normal[:, :1] - 0.2 * normal[:, 1:2]).astype(np.float32)
    skin = np.array([0.4, 0.3, 0.2], np.float32) * np.ones((4000, 1), np.float32)
    skin[:400] *= 0.2  # brows
    found = unwrap.shading(normal, skin * light, np.ones(4000, np.float32))
    ratio = found / light
    assert ratio.std(axis=0).max() / ratio.mean() < 0.05


def test_a_hole_takes_the_colour_around_it() -> None:
    texture = np.ones((64, 64, 4), np.float32) * np.array([0.5, 0.4, 0.3, 1.0], np.float32)
    texture[20:40, 20:40] = 0.0
    filled = unwrap.filled(texture)
    assert filled[30, 30] == pytest.approx([0.5, 0.4, 0.3], abs=0.01)


def test_the_builtin_head_looks_up_its_own_place() -> None:
    model = load_face_model()
    points = model.template[:50]
    other = replace(model, sha256="another file of the same head")
    assert np.abs(textured.chart_coordinates(model, points) - textured.chart_coordinates(other, points)).max() < 8.0


@pytest.mark.skipif(not ict.available(), reason="the development data is not beside the checkout")
def test_the_ict_head_moves_as_its_own_evaluation_does() -> None:
    model, source = textured.ict_truth(), ict.load()
    rng = np.random.default_rng(0)
    identity = rng.normal(size=model.identity_count).astype(np.float32)
    expression = rng.uniform(0.0, 1.0, model.expression_count).astype(np.float32)
    expression[[k for k, name in enumerate(model.expression_names) if "eyeLookUp" in name or "eyeLookIn" in name]] = 0.0
    params = model.with_joint_rotations(replace(model.neutral_params(), expression=expression))
    found = model.vertices_head(identity, params)
    true = source.vertices(identity, expression)[: model.vertex_count]
    # Eyeballs turn about the centre of the relaxed eye here and of the posed one there.
    assert np.abs(found - true).max() < 1e-3
    skin = model.parts == model.part_names.index("skin")
    assert np.abs(found - true)[skin].max() < 1e-6
