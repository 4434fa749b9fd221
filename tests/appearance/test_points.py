"""Skin points: even, mirrored, and the model's own surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.appearance.faces import CAMERA, params_at
from tests.toy_model import toy_model
from tracker.appearance.points import SkinPoints, place_points
from tracker.appearance.surface import SkinSurface
from tracker.face_model import FaceModel, load_face_model
from tracker.face_model.normals import vertex_normals


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def points(model: FaceModel) -> SkinPoints:
    return place_points(model)


def test_partners_mirror_each_other(points: SkinPoints) -> None:
    np.testing.assert_array_equal(points.partner[points.partner], np.arange(points.count))
    mirrored = points.template[points.partner] * [-1, 1, 1]
    np.testing.assert_allclose(points.template, mirrored, atol=1e-4)


def test_points_lie_evenly(points: SkinPoints) -> None:
    offset = points.template[points.neighbours[0]] - points.template
    distance = np.linalg.norm(offset, axis=1)
    assert points.count == 2000 and 0.002 < points.spacing_m < 0.006
    assert np.percentile(distance, 95) < 2.5 * points.spacing_m
    for name in ("forehead", "nose", "cheek_left", "cheek_right", "mouth", "chin"):
        assert points.regions[:, load_face_model().region_names.index(name)].sum() > 30, name


def test_the_same_points_every_time(model: FaceModel, points: SkinPoints) -> None:
    again = place_points(model)
    np.testing.assert_array_equal(again.corners, points.corners)
    np.testing.assert_array_equal(again.neighbours, points.neighbours)


def test_points_follow_the_mesh(model: FaceModel, points: SkinPoints) -> None:
    rng = np.random.default_rng(0)
    params = params_at(0.3)
    weights = rng.uniform(0, 0.7, len(model.published_names)).astype(np.float32)
    params = replace(
        model.with_joint_rotations(replace(params, expression=weights)), neck=np.array([0.1, 0.2, 0], np.float32)
    )
    identity = rng.normal(0, 1, model.identity_count).astype(np.float32)
    mesh = model.vertices_camera(identity, params)
    wanted = np.einsum("pc,pcd->dp", points.barycentric, mesh[points.corners])
    surface = SkinSurface(model, points)
    seen = surface.see(surface.shape(identity), params, CAMERA)
    assert np.abs(seen.points - wanted).max() < 5e-4
    assert np.abs(seen.points - wanted).mean() < 2e-5
    normals = np.einsum("pc,pcd->dp", points.barycentric, vertex_normals(mesh, model.faces)[points.corners])
    agreement = (normals / np.linalg.norm(normals, axis=0) * (seen.rotation @ seen.normals)).sum(axis=0)
    assert np.median(agreement) > 0.98


def test_a_turned_head_hides_its_far_side(model: FaceModel, points: SkinPoints) -> None:
    surface = SkinSurface(model, points)
    shape = surface.shape(np.zeros(model.identity_count, np.float32))
    front = surface.see(shape, params_at(0.0), CAMERA).visible
    turned = surface.see(shape, params_at(0.9), CAMERA).visible
    left = points.template[:, 0] > 0
    assert abs(int(front[left].sum()) - int(front[~left].sum())) < 30
    fewer, more = sorted((int(turned[left].sum()), int(turned[~left].sum())))
    assert fewer < 0.5 * more, (fewer, more)


def test_what_leaves_the_picture_is_not_visible(model: FaceModel, points: SkinPoints) -> None:
    surface = SkinSurface(model, points)
    seen = surface.see(surface.shape(np.zeros(model.identity_count, np.float32)), params_at(0.0, 0.12), CAMERA)
    assert seen.visible.any()
    assert (seen.pixels[0][seen.visible] < CAMERA.width).all()
    assert not seen.visible[seen.pixels[0] > CAMERA.width].any()


def test_models_with_correctives_and_without_mirror_work() -> None:
    model = toy_model(correctives=True)
    points = place_points(model, 60)
    surface = SkinSurface(model, points)
    params = replace(model.neutral_params(), jaw=np.array([0.2, 0, 0], np.float32))
    seen = surface.see(surface.shape(np.zeros(model.identity_count, np.float32)), params, CAMERA)
    assert np.isfinite(seen.points).all() and np.isfinite(seen.normals).all()
