"""Shapes against shapes whose distance is known, and the figures that follow."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tools.evaluation import fit_timing, ict, models, scan, shapes
from tools.evaluation.surface import Surface
from tools.evaluation.tracking import Encoded
from tracker.camera import Camera
from tracker.face_model import FaceModel, load_face_model
from tracker.landmarks.mediapipe478 import SET_NAME
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceObservation, Landmarks

CAMERA = Camera.for_image(480, 480)


def _person(model: FaceModel, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(model.identity_count) * 0.8).astype(np.float32)


def test_a_face_that_was_only_moved_and_scaled_is_no_error() -> None:
    model = load_face_model()
    identity = _person(model, 0)
    true = shapes.builtin_truth(identity)
    turn = 1.1 * matrix_from_rotvec(np.array([0.3, 0.2, -0.1]))
    moved = shapes.TrueFace(
        (true.points @ turn.T + 0.4).astype(np.float32), (true.landmarks68 @ turn.T + 0.4).astype(np.float32)
    )
    error = shapes.FittedSurface(model, identity).error(moved)
    assert error.surface.mean() < 0.01
    assert error.landmarks < 0.01
    assert error.scale == pytest.approx(1.1, rel=1e-3)
    kept = shapes.FittedSurface(model, identity).error(moved, metric=True)
    assert kept.scale == 1.0
    assert kept.surface.mean() > 1.0


def test_a_bump_of_known_height_is_that_error() -> None:
    model = load_face_model()
    nobody = np.zeros(model.identity_count, np.float32)
    true = shapes.builtin_truth(nobody)
    nose = true.landmarks68[30]
    near = np.exp(-((true.points - nose) ** 2).sum(axis=1) / 0.008**2)
    bumped = true.points + near[:, None] * np.array([0.0, 0.0, 0.004], np.float32)
    error = shapes.FittedSurface(model, nobody).error(replace(true, points=bumped.astype(np.float32)))
    assert 2.0 < error.surface.max() < 4.5
    assert np.median(error.surface) < 0.3


def test_another_person_is_nearer_the_mean_face_by_less_than_to_himself() -> None:
    model = load_face_model()
    identity = _person(model, 1)
    true = shapes.builtin_truth(identity)
    mean = shapes.FittedSurface(model, np.zeros_like(identity)).error(true)
    halfway = shapes.FittedSurface(model, 0.5 * identity).error(true)
    assert 0.0 < halfway.surface.mean() < mean.surface.mean()
    assert halfway.landmarks < mean.landmarks


@pytest.mark.skipif(not scan.available(), reason="the development data is not beside the checkout")
def test_the_scan_is_a_face_in_head_axes() -> None:
    head = scan.load()
    marks = head.landmarks68
    assert marks[45, 0] - marks[36, 0] == pytest.approx(0.096, abs=0.01)  # subject-left is +x, metres
    assert marks[30, 2] == marks[:, 2].max()
    assert marks[8, 1] < marks[57, 1] < marks[30, 1] < marks[27, 1]
    region = head.vertices[head.region]
    assert len(region) > 1000
    # Landmarks lie on the surface, and hair, neck and ears are outside.
    assert np.median(Surface(head.vertices, head.faces).foot(marks).distance) < 0.002
    assert region[:, 1].min() > marks[8, 1]
    assert region[:, 2].min() > marks[[0, 16], 2].max() - 0.01


@pytest.mark.skipif(not ict.available(), reason="the development data is not beside the checkout")
def test_the_face_area_of_ict_heads_is_face() -> None:
    area = shapes.ict_face_area()
    person = shapes.ict_person(np.zeros(100, np.float32))
    assert 3000 < len(area) < ict.FACE_VERTICES
    assert np.ptp(person.points[:, 0]) < 0.16
    assert person.points[:, 2].min() > person.landmarks68[[0, 16], 2].min() - 0.03


def _stream(model: FaceModel, frames: int) -> list[Encoded]:
    """A turning head's landmarks, exact."""
    identity, seen = _person(model, 3), []
    for k in range(frames):
        rotation = matrix_from_rotvec(np.array([np.pi, 0, 0])) @ matrix_from_rotvec(
            np.array([0, 0.4 * np.sin(k / 9), 0])
        )
        points = model.landmarks(model.neutral_vertices(identity), SET_NAME) @ rotation.T + np.array([0.0, 0.0, 0.5])
        image = CAMERA.project(points)
        landmarks = Landmarks(
            SET_NAME, np.column_stack([image, np.zeros(len(image))]).astype(np.float32), np.ones(len(image), np.float32)
        )
        box = np.array([*image.min(axis=0), *np.ptp(image, axis=0)], np.float32)
        observation = FaceObservation(0, k, landmarks, 1.0, box)
        seen.append(Encoded(k, round(k * 1e9 / 30), CAMERA.width, CAMERA.height, [observation]))
    return seen


def test_drift_and_timing_of_a_stream() -> None:
    model = load_face_model()
    stream = _stream(model, 80)
    start = time.perf_counter()
    timing = fit_timing.measure({"one": model, "two": model}, SET_NAME, stream[:40])
    spent_ms = (time.perf_counter() - start) * 1e3
    for name in ("one", "two"):
        assert 0.0 < timing[name]["warm"] < timing[name]["cold"] < spent_ms
    assert timing["one"]["warm_ratio"] == 1.0
    assert 0.3 < timing["two"]["warm_ratio"] < 3.0
    figures = models.drift(model, SET_NAME, {"turning": stream})
    assert figures["clips"] == 1
    assert 0.0 <= figures["after_1s_to_last_mm"] < 1.0
    assert 0.0 < figures["between_halves_mm"] < 2.0
