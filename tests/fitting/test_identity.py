"""Identity accumulates over frames, freezes, and is given up for another person."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy_model import LANDMARKS, toy_model
from tracker.camera import Camera
from tracker.fitting.fitter import FaceFitter, FitConfig
from tracker.fitting.identity import IdentityBelief, IdentityConfig
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import FitState
from tracker.fitting.solver import Solution
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceObservation, Landmarks

CAMERA = Camera.for_image(640, 480)
CONFIG = FitConfig(correlated_landmarks=1.0, identity=IdentityConfig(prior_weight=1.0))


def observations(identity: np.ndarray, count: int, seed: int, noise_px: float = 0.3) -> list[FaceObservation]:
    """A person who turns the head and moves the face."""
    rng = np.random.default_rng(seed)
    points = LandmarkModel(toy_model(), "toy")
    points.set_identity(identity)
    seen = []
    for k in range(count):
        rotation = matrix_from_rotvec(0.3 * np.sin([k / 7, k / 5, k / 11])) @ np.diag([1.0, -1.0, -1.0])
        expression = (0.25 + 0.25 * np.sin(k / (3 + np.arange(points.expression_count)))).astype(np.float32)
        inside = np.empty((3, LANDMARKS))
        inside[:, points.order] = rotation @ points.evaluate(expression) + np.array([[0.01], [0.0], [0.6]])
        pixels = CAMERA.project(inside.T) + rng.normal(0, noise_px, (LANDMARKS, 2))
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        depth = (inside[2] - 0.6) * CAMERA.focal_px / 0.6
        landmarks = Landmarks(
            "toy", np.column_stack([pixels, depth]).astype(np.float32), np.full(LANDMARKS, noise_px, np.float32)
        )
        seen.append(FaceObservation(0, k, landmarks, 1.0, np.concatenate([low, high - low]).astype(np.float32)))
    return seen


def shape_error_m(fitter_identity: np.ndarray, truth: np.ndarray) -> float:
    model = toy_model()
    return float(np.linalg.norm(model.neutral_vertices(fitter_identity) - model.neutral_vertices(truth), axis=1).mean())


@pytest.fixture
def people() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.normal(0, 1.5, toy_model().identity_count).astype(np.float32) for _ in range(2)]


def test_identity_gets_better_with_frames_and_then_stays(people):
    fitter = FaceFitter(toy_model(), "toy", CONFIG)
    fitted = [fitter.fit(seen, CAMERA) for seen in observations(people[0], 120, seed=1)]
    first, last = shape_error_m(fitted[0].identity, people[0]), shape_error_m(fitted[-1].identity, people[0])
    mean_face = shape_error_m(np.zeros_like(people[0]), people[0])
    assert last < 0.5 * first or last < 0.05 * mean_face
    assert last < 0.2 * mean_face
    assert fitter.identity.frozen
    assert fitted[-1].identity_version == fitted[-20].identity_version
    assert 0.0 < fitter.identity.state.confidence <= 1.0


def test_information_grows_with_keyframes_up_to_the_cap(people):
    fitter = FaceFitter(toy_model(), "toy", CONFIG)
    traces = []
    for seen in observations(people[0], 60, seed=2):
        fitter.fit(seen, CAMERA)
        traces.append(np.trace(fitter.identity.information))
    assert traces[-1] > traces[0]
    symmetric = fitter.identity.information
    assert np.allclose(symmetric, symmetric.T)
    assert np.linalg.eigvalsh(symmetric).min() >= 0.99 * CONFIG.identity.prior_weight


def test_another_person_under_the_same_id_is_noticed(people):
    fitter = FaceFitter(toy_model(), "toy", CONFIG)
    for seen in observations(people[0], 200, seed=3):
        same = fitter.fit(seen, CAMERA)
    assert shape_error_m(same.identity, people[0]) < shape_error_m(same.identity, people[1])
    for seen in observations(people[1], 300, seed=4):
        other = fitter.fit(seen, CAMERA)
    assert other.identity_version > same.identity_version
    assert shape_error_m(other.identity, people[1]) < 0.3 * shape_error_m(same.identity, people[1])


def test_the_same_person_is_not_given_up(people):
    fitter = FaceFitter(toy_model(), "toy", CONFIG)
    fitted = [fitter.fit(seen, CAMERA) for seen in observations(people[0], 400, seed=5)]
    assert sum(face.cold for face in fitted) == 1


def test_the_published_uncertainty_shrinks_and_covers_the_error(people):
    """Coefficients of a population of people: their errors, in standard deviations, are of size one or less."""
    scores, first, last = [], [], []
    for seed in range(6):
        truth = np.random.default_rng(100 + seed).normal(0, 1.0, toy_model().identity_count).astype(np.float32)
        fitter = FaceFitter(toy_model(), "toy")
        fitted = [fitter.fit(seen, CAMERA) for seen in observations(truth, 80, seed)]
        first.append(fitted[0].identity_state)
        last.append(fitted[-1].identity_state)
        scores.append((fitted[-1].identity - truth) / last[-1].sigma)
    assert all((state.sigma > 0.0).all() and (state.sigma <= 1.0).all() for state in first + last)
    assert all(after.confidence > before.confidence for before, after in zip(first, last, strict=True))
    assert all(after.keyframes > before.keyframes for before, after in zip(first, last, strict=True))
    assert np.sqrt(np.mean(np.square(scores))) < 1.5


def test_keyframes_count_alike_early_and_late():
    """The mean of equal keyframes does not depend on the order they came in."""
    rng = np.random.default_rng(0)
    belief_a, belief_b = (IdentityBelief(np.eye(3), IdentityConfig(information_cap=3.0)) for _ in range(2))
    targets = rng.normal(0, 1, (9, 3))
    for belief, order in ((belief_a, range(9)), (belief_b, reversed(range(9)))):
        for k in order:
            belief.learn(linear_keyframe(belief, targets[k], k))
    assert belief_a.mean == pytest.approx(belief_b.mean, abs=1e-9)


def linear_keyframe(belief, target: np.ndarray, k: int) -> Solution:
    """What a joint solve finds when the landmarks say that identity is ``target`` with information 20."""
    prior = belief.prior()
    information = prior.information + 20.0 * np.eye(3)
    found = np.linalg.solve(information, 20.0 * target + prior.information @ prior.mean)
    normal = np.eye(5)
    normal[2:, 2:] = information
    state = FitState(matrix_from_rotvec(np.array([0.0, 0.2 * k, 0.0])), np.zeros(3), np.zeros(2, np.float32))
    return Solution(state, found, 1, np.zeros((0, 2), np.float32), 0.0, normal)
