"""Distances to meshes against brute force, and smooth maps against maps that are known."""

from __future__ import annotations

import numpy as np
import pytest

from tools.evaluation.surface import Surface, closest_barycentric
from tools.evaluation.warp import ThinPlate
from tracker.face_model import load_face_model
from tracker.rotations import matrix_from_rotvec


def test_nearest_places_are_those_of_brute_force() -> None:
    model = load_face_model()
    faces = model.faces[(model.parts[model.faces] == 0).all(axis=1)]
    rng = np.random.default_rng(0)
    points = model.template[rng.choice(np.unique(faces), 60)] + rng.normal(0.0, 0.004, (60, 3))
    foot = Surface(model.template, faces).foot(points)
    triangles = model.template[faces].astype(np.float64)
    for point, found in zip(points, foot.distance, strict=True):
        weights = closest_barycentric(np.broadcast_to(point, (len(faces), 3)), triangles)
        places = np.einsum("kc,kcd->kd", weights, triangles)
        assert found == pytest.approx(np.linalg.norm(places - point, axis=1).min(), abs=1e-9)


def test_the_nearest_place_of_a_triangle_is_nearer_than_samples_of_it() -> None:
    rng = np.random.default_rng(1)
    triangles, points = rng.normal(size=(200, 3, 3)), rng.normal(size=(200, 3))
    weights = closest_barycentric(points, triangles)
    assert weights.min() >= 0.0
    assert weights.sum(axis=1) == pytest.approx(np.ones(200))
    found = np.linalg.norm(np.einsum("kc,kcd->kd", weights, triangles) - points, axis=1)
    samples = rng.dirichlet(np.ones(3), 2000)
    sampled = np.linalg.norm(np.einsum("sc,kcd->ksd", samples, triangles) - points[:, None], axis=2).min(axis=1)
    assert (found <= sampled + 1e-12).all()
    assert np.median(sampled - found) < 0.02


def test_vertices_that_no_triangle_uses_do_not_count() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.2, 5.0]])
    foot = Surface(vertices, np.array([[0, 1, 2]])).foot(np.array([[0.2, 0.2, 5.0]]))
    assert foot.distance == pytest.approx([5.0])
    assert foot.point == pytest.approx(np.array([[0.2, 0.2, 0.0]]))


def test_a_thin_plate_hits_its_targets_and_keeps_what_is_straight() -> None:
    rng = np.random.default_rng(2)
    source = rng.normal(size=(30, 3))
    bent = source + 0.1 * np.sin(source)
    assert ThinPlate(source, bent)(source) == pytest.approx(bent, abs=1e-9)
    turn, offset = 1.3 * matrix_from_rotvec(np.array([0.3, -0.2, 0.5])), np.array([1.0, 2.0, 3.0])
    elsewhere = rng.normal(size=(10, 3))
    assert ThinPlate(source, source @ turn.T + offset)(elsewhere) == pytest.approx(elsewhere @ turn.T + offset)
    stiff = ThinPlate(source, bent, smoothing=100.0)(source)
    assert np.abs(stiff - bent).max() > 1e-3
