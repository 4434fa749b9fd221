"""Synthetic faces: deterministic, lit and coloured as asked, and convincing to the landmark network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.rendering.contours import CONTOUR
from tracker.rendering.lighting import HeadLighting, Light
from tracker.rendering.scene import FaceScene, render_sequence
from tracker.rendering.shading import NormalField, quad_diagonals, smoothstep
from tracker.rendering.skin import Complexion
from tracker.sources.synthetic import motion, person
from tracker.types import Frame


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.for_image(320, 240)


def patch(image: np.ndarray, at: np.ndarray, radius: int = 2) -> np.ndarray:
    x, y = int(at[0]), int(at[1])
    return image[y - radius : y + radius + 1, x - radius : x + radius + 1].reshape(-1, 3).mean(axis=0)


def points_of(head: FaceModel, camera: Camera, identity: np.ndarray, params: object) -> np.ndarray:
    return camera.project(head.landmarks(head.vertices_camera(identity, params), "mediapipe478"))


def test_the_same_parameters_give_the_same_picture(head: FaceModel, camera: Camera) -> None:
    identity = person(head)
    poses = [motion(head, t_s) for t_s in (0.0, 1.0)]
    once = render_sequence(head, identity, poses, camera, noise=2.0)
    again = render_sequence(head, identity, poses, camera, noise=2.0)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert once[0].shape == (240, 320, 3)
    assert once[0].dtype == np.uint8
    clean = render_sequence(head, identity, poses[:1], camera)
    difference = once[0].astype(float) - clean[0]
    assert difference.std() == pytest.approx(2.0, rel=0.15)
    assert abs(difference.mean()) < 0.1


def test_features_have_their_colours_where_the_model_has_them(head: FaceModel, camera: Camera) -> None:
    identity = np.zeros(head.identity_count, np.float32)
    params = head.neutral_params()
    image = FaceScene(head).render(identity, params, camera)
    points = points_of(head, camera, identity, params)
    cheek = patch(image, points[50])
    lip = patch(image, (points[17] + points[14]) / 2, 1)
    brow = patch(image, points[[63, 105, 66, 53, 52, 65]].mean(axis=0), 1)
    pupil = patch(image, points[468], 1)
    white = (points[33] + points[468]) / 2
    assert cheek[0] > cheek[1] > cheek[2]
    assert lip[0] / lip[1] > 1.15 * cheek[0] / cheek[1]
    assert brow.mean() < 0.75 * cheek.mean()
    assert pupil.mean() < 0.7 * patch(image, white, 0).mean()


def test_complexion_and_light_do_what_they_say(head: FaceModel, camera: Camera) -> None:
    identity, params = np.zeros(head.identity_count, np.float32), head.neutral_params()
    points = points_of(head, camera, identity, params)
    right, left = points[50], points[280]
    pale = FaceScene(head, Complexion(melanin=0.05)).render(identity, params, camera)
    dark = FaceScene(head, Complexion(melanin=0.8)).render(identity, params, camera)
    assert patch(dark, right).mean() < 0.6 * patch(pale, right).mean()

    from_left = FaceScene(head, light=Light(direction=(-0.8, -0.2, -0.5))).render(identity, params, camera)
    from_right = FaceScene(head, light=Light(direction=(0.8, -0.2, -0.5))).render(identity, params, camera)
    # The subject's right cheek is on the left of the picture.
    assert patch(from_left, right).mean() > 1.15 * patch(from_left, left).mean()
    assert patch(from_right, left).mean() > 1.15 * patch(from_right, right).mean()


def test_even_light_of_one_gives_irradiance_of_at_most_one(head: FaceModel) -> None:
    lighting = HeadLighting(head)
    normals = NormalField(head.faces, head.vertex_count)(head.template)
    even = Light(ambient=(1.0, 1.0, 1.0), lamp=(0.0, 0.0, 0.0))

    class Uniform(Light):
        def radiance(self, towards: np.ndarray) -> np.ndarray:
            return np.ones((len(towards), 3), np.float32)

    irradiance = lighting(normals, np.diag([1.0, -1.0, -1.0]).astype(np.float32), Uniform())
    assert irradiance.max() < 1.1
    crown = int(np.argmax(head.template[:, 1]))
    assert irradiance[crown].min() > 0.85
    # Nostrils and the inside of the mouth see little of the sky.
    inside = head.parts == head.part_names.index("inner_mouth")
    assert np.median(irradiance[inside]) < 0.4
    assert even.radiance(np.array([[0.0, -1.0, 0.0]], np.float32))[0, 0] > 1.0


def test_a_light_per_frame(head: FaceModel, camera: Camera) -> None:
    params = head.neutral_params()
    bright, dim = render_sequence(
        head, person(head), [params, params], camera, light=[Light(), Light(lamp=(0.3, 0.3, 0.3))]
    )
    assert bright.mean() > dim.mean() + 5


def test_faces_at_the_border_and_behind_the_camera(head: FaceModel, camera: Camera) -> None:
    scene = FaceScene(head)
    identity = person(head)
    for x, z in ((0.25, 0.5), (3.0, 0.5), (0.0, 0.12), (0.0, -1.0), (0.0, 30.0)):
        params = replace(head.neutral_params(), translation=np.array([x, 0.0, z], np.float32))
        assert scene.render(identity, params, camera).shape == (240, 320, 3)


def test_the_network_sees_the_face_where_it_is(head: FaceModel, networks: Path) -> None:
    from tracker.detection import FaceDetector, FaceFollower
    from tracker.landmarks import create_encoder

    camera = Camera.for_image(640, 480)
    looks = [Complexion(), Complexion(melanin=0.7, iris=(0.05, 0.03, 0.015), hair=(0.01, 0.008, 0.006), seed=1)]
    rng = np.random.default_rng(4)
    errors = []
    for seed, look in enumerate(looks):
        scene = FaceScene(head, look, noise=2.0)
        for t_s in (0.3, 2.2, 7.0):
            identity = rng.normal(0.0, 0.8, head.identity_count).astype(np.float32)
            params = motion(head, t_s)
            image = scene.render(identity, params, camera, seed)
            follower = FaceFollower(create_encoder(), FaceDetector(), 1)
            seen = [follower.process(Frame(image, k, k * 33_000_000, "media", 0)) for k in range(3)][-1]
            assert len(seen) == 1
            assert seen[0].presence > 0.9
            truth = points_of(head, camera, identity, params)
            eye_distance = np.linalg.norm(truth[[33, 133]].mean(axis=0) - truth[[263, 362]].mean(axis=0))
            errors.append(np.linalg.norm(seen[0].landmarks.points[:, :2] - truth, axis=1) / eye_distance)
    median = np.median(errors, axis=0)
    lids = [*CONTOUR["eye_left"].points, *CONTOUR["eye_right"].points]
    assert np.median(median[lids]) < 0.04
    assert np.median(median[list(CONTOUR["lips_outer"].points)]) < 0.05
    assert np.median(median) < 0.05


def test_normals_point_outwards(head: FaceModel) -> None:
    normals = NormalField(head.faces, head.vertex_count)(head.template)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-4)
    nose = int(np.argmax(head.template[:, 2]))
    assert normals[nose, 2] > 0.5


def test_diagonals_of_quads_are_found() -> None:
    # Two quads side by side, each split in two; then the same with their triangles in another order.
    grid = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]], np.float32)
    faces = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]], np.int32)
    expected = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], bool)
    assert np.array_equal(quad_diagonals(grid, faces), expected)
    shuffled = [0, 2, 1, 3]
    assert np.array_equal(quad_diagonals(grid, faces[shuffled]), expected[shuffled])


def test_smoothstep() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0], np.float32)
    assert smoothstep(0.0, 1.0, x).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
