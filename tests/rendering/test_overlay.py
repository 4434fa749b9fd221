"""Overlays: every layer draws where the face is, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.rendering.conftest import SIZE, Scene, face_of
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.rendering.overlay import WHAT, Overlay, What
from tracker.rendering.panel import HeadView, expression_bars, picture, portrait
from tracker.types import Landmarks


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


@pytest.mark.parametrize("what", WHAT)
def test_a_layer_draws_on_the_face_and_leaves_the_input_alone(head: FaceModel, scene: Scene, what: What) -> None:
    image, result = scene.image(1), scene.results[1]
    original = image.copy()
    drawn = Overlay(head, what).draw(image, result.camera, result.faces)
    assert np.array_equal(image, original)
    assert drawn.shape == image.shape
    rows, columns = np.nonzero(changed(image, drawn))
    x, y, width, height = result.faces[0].box
    inside = (columns > x) & (columns < x + width) & (rows > y) & (rows < y + height)
    assert inside.sum() > 150
    # Beyond the face are at most axes, gaze rays and the label above the head.
    assert (np.abs(columns - (x + width / 2)) < 1.2 * width).all()


def test_layers_differ_and_all_has_the_most(head: FaceModel, scene: Scene) -> None:
    image, result = scene.image(1), scene.results[1]
    pictures = {what: Overlay(head, what).draw(image, result.camera, result.faces) for what in WHAT}
    counts = {what: int(changed(image, drawn).sum()) for what, drawn in pictures.items()}
    assert counts["all"] >= max(counts.values())
    assert counts["mesh"] > 2 * counts["wire"] > 0
    assert len({drawn.tobytes() for drawn in pictures.values()}) == len(WHAT)


def test_landmarks_out_of_sight_are_hollow(head: FaceModel, scene: Scene) -> None:
    result = scene.results[0]
    face = result.faces[0]
    count = len(face.landmarks.points)
    black = np.zeros((SIZE[1] * 4, SIZE[0] * 4, 3), np.uint8)

    def drawn(visibility: np.ndarray | None) -> np.ndarray:
        landmarks = replace(face.landmarks, visibility=visibility)
        return Overlay(head, "landmarks").draw(black, result.camera, [replace(face, landmarks=landmarks)])

    hidden = drawn(np.zeros(count, np.float32))
    assert np.array_equal(drawn(None), drawn(np.ones(count, np.float32)))
    # Reddish instead of white, and less of it.
    x, y = (face.landmarks.points[1, :2] * 4).astype(int)
    around = hidden[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).astype(int)
    assert (around[:, 0] - around[:, 2]).max() > 60
    assert np.array_equal(drawn(None), hidden) is False


def test_contours_lie_on_the_models_points(head: FaceModel, scene: Scene) -> None:
    result = scene.results[0]
    black = np.zeros((SIZE[1] * 3, SIZE[0] * 3, 3), np.uint8)
    drawn = Overlay(head, "wire").draw(black, result.camera, result.faces)
    points = result.faces[0].landmarks.points[[61, 291, 17, 0, 105, 334], :2] * 3
    for x, y in points:
        patch = drawn[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        assert patch.max() > 90


def test_without_faces_nothing_but_the_footer_is_drawn(head: FaceModel, scene: Scene) -> None:
    image, camera = scene.image(0), scene.results[0].camera
    overlay = Overlay(head)
    assert np.array_equal(overlay.draw(image, camera, ()), image)
    rows, _ = np.nonzero(changed(image, overlay.draw(image, camera, (), footer="frame 0")))
    assert rows.min() > SIZE[1] * 0.8


def test_faces_that_cannot_be_drawn_do_no_harm(head: FaceModel, scene: Scene) -> None:
    image, result = scene.image(0), scene.results[0]
    face = result.faces[0]
    for translation in ((0.0, 0.0, -0.5), (0.0, 0.0, 0.0), (np.nan, 0.0, 0.5)):
        params = replace(face.params, translation=np.array(translation, np.float32))
        drawn = Overlay(head).draw(image, result.camera, [replace(face, params=params)])
        assert np.array_equal(drawn, image)
    beside = replace(face.params, translation=np.array([3.0, 0.0, 0.6], np.float32))
    nowhere = Landmarks("mediapipe478", np.full((478, 3), np.nan, np.float32), np.ones(478, np.float32))
    Overlay(head).draw(image, result.camera, [replace(face, params=beside, landmarks=nowhere)])


def test_a_held_face_is_told_apart(head: FaceModel, scene: Scene) -> None:
    image, result = scene.image(0), scene.results[0]
    held = replace(result.faces[0], tracked=False)
    overlay = Overlay(head, "axes")
    tracked = overlay.draw(image, result.camera, result.faces)
    assert not np.array_equal(overlay.draw(image, result.camera, [held]), tracked)


def test_the_nearer_of_two_faces_lies_on_top(head: FaceModel, scene: Scene) -> None:
    source = scene.source
    identity, params = source.truth(0)
    near = replace(params, translation=np.array([0.0, 0.0, 0.5], np.float32))
    far = replace(params, translation=np.array([0.01, 0.0, 0.9], np.float32))
    faces = [face_of(head, source.camera, identity, p, i) for i, p in enumerate((near, far))]
    overlay, image = Overlay(head, "mesh"), scene.image(0)
    one = overlay.draw(image, source.camera, faces)
    assert np.array_equal(one, overlay.draw(image, source.camera, faces[::-1]))


def test_portrait_keeps_camera_and_landmarks_in_step(head: FaceModel, scene: Scene) -> None:
    result = scene.results[2]
    face = result.faces[0]
    crop, view, local = portrait(scene.image(2), result.camera, face, head, 200, 200)
    assert crop.shape == (200, 200, 3)
    projected = view.project(head.landmarks(head.vertices_camera(face.identity, face.params), "mediapipe478"))
    np.testing.assert_allclose(local.landmarks.points[:, :2], projected, atol=0.02)


def test_the_head_from_the_side_faces_right(head: FaceModel, scene: Scene) -> None:
    face = scene.results[0].faces[0]
    view = HeadView(head).render(face.identity, face, 160, 200)
    other = HeadView(head).render(face.identity, face, 160, 200, yaw=-np.pi / 2)
    ground = view[0, 0]
    columns = np.nonzero((view != ground).any(axis=2))[1]
    # The nose reaches farther from the middle of the head than the back of the neck does at its height.
    assert columns.max() > 0.8 * 160
    assert np.abs(other[:, ::-1].astype(int) - view).mean() > 0.5


def test_bars_grow_with_their_weights() -> None:
    low = expression_bars(np.zeros(52, np.float32), 240, 320)
    half = expression_bars(np.full(52, 0.5, np.float32), 240, 320)
    full = expression_bars(np.full(52, 5.0, np.float32), 240, 320)
    counts = [int((image.max(axis=2) > 120).sum()) for image in (low, half, full)]
    assert counts[0] < counts[1] < counts[2]


def test_the_picture_has_four_columns(head: FaceModel, scene: Scene) -> None:
    result = scene.results[2]
    panel = picture(scene.image(2), result.camera, result.faces[0], head, Overlay(head), height=300)
    assert panel.shape[0] == 300
    assert panel.shape[1] > 2.5 * 300
    tiny = Camera.for_image(40, 30)
    face = face_of(head, tiny, *scene.source.truth(2))
    small = np.zeros((30, 40, 3), np.uint8)
    assert picture(small, tiny, face, head, Overlay(head), height=300).shape[0] == 300
