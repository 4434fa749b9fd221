from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from tests.trainer.data.augment.faces import SCALE, SIZE, dots, head_batch, shape
from tracker.appearance.light import sh_basis
from tracker.face_model import FaceModel
from tracker.rotations import matrix_from_rotvec
from trainer.data.augment.geometry import flip, warp
from trainer.data.augment.mirror import Mirror
from trainer.data.augment.turning import look_matrix, roll_matrix, turn_light
from trainer.data.batch import Batch

ALL = torch.ones(3, dtype=torch.bool)


def explained(batch: Batch, model: FaceModel, landmark_set: str, scale: float) -> np.ndarray:
    """The points that a batch's own labels predict, each face's middle at 0."""
    predicted = []
    for identity, expression, head in zip(batch.identity, batch.expression, batch.rotation, strict=True):
        points = shape(model, identity.numpy(), expression.numpy(), landmark_set) @ head.numpy().T * scale
        predicted.append(points - points.mean(axis=0))
    return np.stack(predicted)


def centred(points: torch.Tensor) -> np.ndarray:
    return (points - points.mean(dim=1, keepdim=True)).numpy()


def test_labels_of_a_mirrored_face_describe_the_mirrored_face(model: FaceModel) -> None:
    for landmark_set in ("ibug68", "mediapipe478"):
        batch = head_batch(model, landmark_set)
        flipped = flip(batch, Mirror.of(model, landmark_set), ALL)
        np.testing.assert_allclose(centred(flipped.points), explained(flipped, model, landmark_set, SCALE), atol=2e-3)
        assert abs(flipped.image - dots(flipped.points, SIZE)).max() < 0.05
        assert torch.equal(flipped.image, batch.image.flip(-1))


def test_mirroring_twice_gives_the_first_face_back(model: FaceModel) -> None:
    batch = head_batch(model)
    mirror = Mirror.of(model, "ibug68")
    twice = flip(flip(batch, mirror, ALL), mirror, ALL)
    for name in ("image", "points", "rotation", "expression", "identity", "light"):
        torch.testing.assert_close(getattr(twice, name), getattr(batch, name), atol=1e-5, rtol=0)


def test_only_chosen_rows_are_mirrored(model: FaceModel) -> None:
    batch = head_batch(model)
    flipped = flip(batch, Mirror.of(model, "ibug68"), torch.tensor([False, True, False]))
    assert torch.equal(flipped.points[0], batch.points[0])
    assert not torch.equal(flipped.points[1], batch.points[1])


def test_points_without_partner_become_unknown(model: FaceModel) -> None:
    batch = head_batch(model)
    mirror = replace(Mirror.of(model, "ibug68"), points=torch.full((68,), -1))
    flipped = flip(batch, mirror, ALL)
    assert flipped.points.isnan().all() and flipped.visible.isnan().all() and (flipped.weight == 0).all()


def test_dots_lie_where_warped_points_say(model: FaceModel) -> None:
    batch = head_batch(model)
    roll, scale = torch.tensor([0.5, -1.2, 0.0]), torch.tensor([1.2, 0.9, 1.0])
    shift = torch.tensor([[0.05, -0.08], [0.0, 0.1], [0.0, 0.0]])
    warped = warp(batch, roll, scale, shift)
    redrawn = torch.cat([dots(warped.points[i : i + 1], SIZE, 0.03 * float(scale[i])) for i in range(3)])
    inside = redrawn[:, 0] > 0.5
    assert abs(warped.image[:, 0] - redrawn[:, 0])[inside].max() < 0.12


def test_labels_of_a_rolled_and_scaled_face_describe_it(model: FaceModel) -> None:
    batch = head_batch(model)
    warped = warp(batch, torch.full((3,), 0.6), torch.full((3,), 1.1), torch.zeros(3, 2))
    np.testing.assert_allclose(centred(warped.points), explained(warped, model, "ibug68", 1.1 * SCALE), atol=2e-5)
    assert torch.allclose(warped.focal, torch.tensor(4.4))


def test_a_shift_turns_the_camera_towards_the_new_middle(model: FaceModel) -> None:
    batch = head_batch(model)
    shift = torch.tensor([[0.1, 0.0]]).repeat(3, 1)
    warped = warp(batch, torch.zeros(3), torch.ones(3), shift)
    # What now lies in the middle lay 0.1 to the left of it: that direction becomes the optical axis.
    seen = torch.tensor([-0.1, 0.0, 4.0])
    turn = warped.rotation[0] @ batch.rotation[0].T
    torch.testing.assert_close(turn @ (seen / seen.norm()), torch.tensor([0.0, 0.0, 1.0]), atol=1e-6, rtol=0)
    depth = explained(warped, model, "ibug68", SCALE)[..., 2]
    np.testing.assert_allclose(centred(warped.points)[..., 2], depth, atol=1e-3)
    far = warp(replace(batch, focal=torch.full((3,), float("nan"))), torch.zeros(3), torch.ones(3), shift)
    torch.testing.assert_close(far.rotation, batch.rotation, atol=1e-5, rtol=0)
    assert far.focal.isnan().all()


def test_points_outside_the_crop_are_not_visible(model: FaceModel) -> None:
    batch = head_batch(model)
    warped = warp(batch, torch.zeros(3), torch.full((3,), 4.0), torch.zeros(3, 2))
    outside = ((warped.points[..., :2] < 0) | (warped.points[..., :2] > 1)).any(-1)
    assert outside.any() and not outside.all()
    assert (warped.visible[outside] == 0).all() and (warped.visible[~outside] == 1).all()


def test_light_turns_with_the_camera() -> None:
    rng = np.random.default_rng(0)
    light = rng.normal(0, 1, (2, 9, 3)).astype(np.float32)
    normals = rng.normal(0, 1, (3, 40)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=0)
    turns = np.stack([matrix_from_rotvec(np.array([0.3, -0.8, 1.1])), np.diag([-1.0, 1.0, 1.0])]).astype(np.float32)
    turned = turn_light(torch.from_numpy(light), torch.from_numpy(turns)).numpy()
    for before, after, turn in zip(light, turned, turns, strict=True):
        np.testing.assert_allclose(sh_basis(turn @ normals).T @ after, sh_basis(normals).T @ before, atol=1e-5)


def test_look_and_roll_are_rotations() -> None:
    for matrix in (look_matrix(torch.tensor([[0.3, -0.2, 1.0]]))[0], roll_matrix(torch.tensor([0.7]))[0]):
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(3), atol=1e-6, rtol=0)
        assert math.isclose(float(torch.det(matrix)), 1.0, abs_tol=1e-5)


def test_unknown_labels_stay_unknown(model: FaceModel) -> None:
    nan = float("nan")
    batch = replace(
        head_batch(model),
        rotation=torch.full((3, 3, 3), nan),
        light=torch.full((3, 9, 3), nan),
        identity=torch.full((3, model.identity_count), nan),
    )
    changed = warp(
        flip(batch, Mirror.of(model, "ibug68"), ALL), torch.full((3,), 0.3), torch.ones(3), torch.zeros(3, 2)
    )
    assert changed.rotation.isnan().all() and changed.light.isnan().all() and changed.identity.isnan().all()
    assert not changed.points.isnan().any()
