from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tests.trainer.data.augment.faces import SIZE, head_batch
from tracker.errors import ConfigError
from tracker.face_model import FaceModel
from trainer.data.augment import (
    DENSE_LANDMARKS,
    NOTHING,
    SADRNET,
    AugmentConfig,
    AugmentedStream,
    Augmenter,
    LandmarkMesh,
    Mirror,
    camera,
    colour,
)
from trainer.data.augment.occlusion import cover_at, occlude
from trainer.data.batch import Batch
from trainer.data.stream import Stream


class _Same(Stream):
    """The same batch for ever."""

    landmark_set, face_model, crop_size = "ibug68", "builtin", SIZE

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, index: int) -> Batch:
        return self._batch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_changes_nothing(model: FaceModel) -> None:
    batch = head_batch(model)
    same = Augmenter(NOTHING)(batch, generator())
    for field in fields(batch):
        assert np.array_equal(np.asarray(getattr(same, field.name)), np.asarray(getattr(batch, field.name)))


@pytest.mark.parametrize("config", [AugmentConfig(), SADRNET, DENSE_LANDMARKS], ids=["default", "sadrnet", "thesis"])
def test_batches_stay_well_formed_and_repeat_for_a_seed(model: FaceModel, config: AugmentConfig) -> None:
    augmenter = Augmenter(config, Mirror.of(model, "ibug68"))
    batch = head_batch(model, count=6)
    stream = AugmentedStream(_Same(batch), augmenter, seed=3)
    first, again = [stream.batch(0), stream.batch(1)], stream.batch(1)
    assert torch.equal(first[1].image, again.image) and torch.equal(first[1].points, again.points)
    assert not torch.equal(first[0].image, first[1].image)
    out = first[0]
    assert out.image.shape == batch.image.shape and out.image.min() >= 0 and out.image.max() <= 1
    assert out.source == batch.source
    eye = out.rotation @ out.rotation.transpose(1, 2)
    torch.testing.assert_close(eye, torch.eye(3).expand(6, 3, 3), atol=1e-5, rtol=0)
    assert (torch.det(out.rotation) > 0.99).all()
    assert set(out.visible.unique().tolist()) <= {0.0, 1.0}


def test_occluded_points_are_hidden_and_the_rest_is_untouched(model: FaceModel) -> None:
    batch = head_batch(model, count=6)
    rows = torch.tensor([True] * 5 + [False])
    out, covered = occlude(batch, rows, 3, (0.1, 0.25), generator())
    hidden = cover_at(covered, batch.points) > 0.5
    assert 0 < hidden.float().mean() < 1
    assert torch.equal(out.visible, (~hidden).float())
    assert torch.equal(out.points, batch.points)
    free = (covered == 0).expand_as(batch.image)
    assert torch.equal(out.image[free], batch.image[free])
    assert not hidden[5].any() and torch.equal(out.image[5], batch.image[5])


def test_occluders_are_placed_without_known_points(model: FaceModel) -> None:
    batch = replace(
        head_batch(model), points=torch.full((3, 68, 3), float("nan")), visible=torch.full((3, 68), float("nan"))
    )
    out, covered = occlude(batch, torch.ones(3, dtype=torch.bool), 1, (0.2, 0.3), generator())
    assert covered.mean() > 0.02 and out.visible.isnan().all()


def test_gains_scale_the_light_that_explains_the_picture(model: FaceModel) -> None:
    batch = head_batch(model)
    out = colour.scale_channels(batch, torch.tensor([[0.5, 1.0, 1.0]] * 3))
    torch.testing.assert_close(out.image[:, 0], batch.image[:, 0] * 0.5)
    torch.testing.assert_close(out.light[..., 0], batch.light[..., 0] * 0.5**2.2)
    torch.testing.assert_close(out.light[..., 1:], batch.light[..., 1:])


def test_grey_pictures_have_grey_light(model: FaceModel) -> None:
    out = colour.make_grey(head_batch(model))
    assert torch.equal(out.image[:, 0], out.image[:, 1]) and torch.equal(out.light[..., 0], out.light[..., 2])


def test_blurs_keep_brightness_and_widen_a_dot() -> None:
    image = torch.zeros(2, 3, 33, 33)
    image[:, :, 16, 16] = 1.0
    soft = camera.soften(image, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(soft.sum(dim=(1, 2, 3)), torch.tensor([3.0, 3.0]), atol=1e-4, rtol=0)
    place = torch.arange(33.0) - 16.0
    width = (soft[:, 0].sum(dim=1) * place**2).sum(dim=1).sqrt()
    torch.testing.assert_close(width, torch.tensor([1.0, 2.0]), atol=0.1, rtol=0)
    streak = camera.smear(image, torch.tensor([9.0, 9.0]), torch.tensor([0.0, torch.pi / 2]))
    assert (streak[0, 0] > 0.01).any(dim=0).sum() == 9 and (streak[0, 0] > 0.01).any(dim=1).sum() == 1
    assert (streak[1, 0] > 0.01).any(dim=1).sum() == 9


def test_noise_has_its_sigma_at_mid_grey_and_less_in_the_dark() -> None:
    image = torch.stack([torch.full((3, 64, 64), 0.5), torch.full((3, 64, 64), 0.1)])
    noisy = camera.add_noise(image, torch.tensor([0.03, 0.03]), generator())
    spread = (noisy - image).std(dim=(1, 2, 3))
    assert abs(float(spread[0]) - 0.03) < 0.002 and spread[1] < 0.7 * spread[0]


def test_worse_jpeg_quality_is_further_from_the_picture() -> None:
    image = torch.rand(1, 3, 64, 64, generator=generator())
    error = [float((camera.compress(image, torch.tensor([quality])) - image).abs().mean()) for quality in (20.0, 95.0)]
    assert error[1] < error[0] < 0.3
    flat = torch.full((1, 3, 16, 16), 100 / 255)
    flat[:, 2] = 30 / 255
    torch.testing.assert_close(camera.compress(flat, torch.tensor([95.0])), flat, atol=0.02, rtol=0)


def test_views_turn_points_rotation_and_picture_together(model: FaceModel) -> None:
    mesh = LandmarkMesh.of(model, "mediapipe478")
    # Nothing is filled in from the mirror side, so that colours tell where every pixel comes from.
    mesh = replace(mesh, partner=np.full_like(mesh.partner, -1))
    batch = head_batch(model, "mediapipe478", turn=0.1, expressive=0.05)
    # The left half of every face is red, the right one green: a turn to the subject's left shows more of its right.
    half = mesh.positions[:, 0] > 0
    picture = torch.zeros_like(batch.image)
    middle = batch.points[:, ~half & (abs(mesh.positions[:, 0]) < 0.005), 0].mean(dim=1)
    place = (torch.arange(picture.shape[-1]) + 0.5) / picture.shape[-1]
    right_in_picture = place[None] > middle[:, None]
    picture[:, 0] = right_in_picture[:, None].float()
    picture[:, 1] = 1.0 - picture[:, 0]
    batch = replace(batch, image=picture)
    yaw = torch.tensor([0.5, -0.5, 0.5])
    out = mesh.turned(batch, torch.tensor([True, True, False]), yaw, torch.zeros(3))
    assert torch.equal(out.image[2], batch.image[2]) and torch.equal(out.points[2], batch.points[2])
    for row in range(2):
        turn = out.rotation[row] @ batch.rotation[row].T
        moved = (batch.points[row] - batch.points[row].mean(dim=0)) @ turn.T
        torch.testing.assert_close(out.points[row] - out.points[row].mean(dim=0), moved, atol=1e-4, rtol=0)
        # The head's z axis turns to the subject's left for positive yaw: that is right in the picture.
        assert np.sign(float(out.rotation[row, 0, 2] - batch.rotation[row, 0, 2])) == np.sign(float(yaw[row]))
        seen = out.visible[row] > 0.5
        inner = seen & (torch.from_numpy(abs(mesh.positions[:, 0])) > 0.025)
        pixel = (out.points[row, :, :2] * out.image.shape[-1]).long().clamp(0, out.image.shape[-1] - 1)
        red = out.image[row, 0, pixel[:, 1], pixel[:, 0]] > 0.5
        assert (red == torch.from_numpy(half))[inner].float().mean() > 0.95


def test_a_turned_head_hides_its_far_side(model: FaceModel) -> None:
    mesh = LandmarkMesh.of(model, "mediapipe478")
    batch = head_batch(model, "mediapipe478", turn=0.05, expressive=0.0)
    out = mesh.turned(batch, torch.ones(3, dtype=torch.bool), torch.full((3,), 1.0), torch.zeros(3))
    side = torch.from_numpy(mesh.positions[:, 0])
    assert (out.visible[:, side > 0.04] > 0.5).float().mean() < (
        out.visible[:, side < -0.04] > 0.5
    ).float().mean() - 0.3


def test_views_leave_faces_without_depth_or_pose_alone(model: FaceModel) -> None:
    mesh = LandmarkMesh.of(model, "ibug68")
    batch = head_batch(model)
    points = batch.points.clone()
    points[0, 3, 2] = float("nan")
    rotation = batch.rotation.clone()
    rotation[1] = float("nan")
    batch = replace(batch, points=points, rotation=rotation)
    out = mesh.turned(batch, torch.ones(3, dtype=torch.bool), torch.full((3,), 0.3), torch.zeros(3))
    assert torch.equal(out.image[:2], batch.image[:2]) and not torch.equal(out.image[2], batch.image[2])


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"flip_chance": 1.5}, "probability"),
        ({"scale": (1.2, 0.8)}, "range"),
        ({"jpeg_quality": (20, 120)}, "100"),
        ({"shift": -0.1}, "not negative"),
        ({"occluders": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(setting: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        AugmentConfig(**setting)  # type: ignore[arg-type]


def test_what_an_augmentation_needs_is_asked_for(model: FaceModel) -> None:
    with pytest.raises(ConfigError, match="Mirror"):
        Augmenter(AugmentConfig())
    with pytest.raises(ConfigError, match="LandmarkMesh"):
        Augmenter(replace(NOTHING, view_chance=0.5))
