"""The fit stage: bad observations leave no trace, faces that come back start cold, time may do what it likes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy_model import LANDMARKS, toy_model
from tracker.camera import Camera
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.stage import FitStage
from tracker.rotations import head_euler, matrix_from_quaternion, matrix_from_rotvec
from tracker.smoothing import SmoothingConfig
from tracker.types import FaceObservation, Landmarks

CAMERA = Camera.for_image(640, 480)
FRAME_NS = 33_333_333
NO_SMOOTHING = SmoothingConfig(enabled=False)
FRONTAL = np.diag([1.0, -1.0, -1.0])


def observation(yaw: float = 0.0, x_m: float = 0.0, face_id: int = 0) -> FaceObservation:
    """The toy head as an encoder would see it."""
    model = LandmarkModel(toy_model(), "toy")
    rotation = FRONTAL @ matrix_from_rotvec(np.array([0.0, yaw, 0.0]))
    head = model.evaluate(np.zeros(model.expression_count, np.float32))
    camera_points = (rotation @ head + np.array([[x_m], [0.0], [0.6]])).T
    pixels = np.empty((LANDMARKS, 3), np.float32)
    # The landmark model keeps points in an order of its own; encoders deliver them in the set's.
    pixels[model.order, :2] = CAMERA.project(camera_points)
    pixels[model.order, 2] = (camera_points[:, 2] - 0.6) * CAMERA.focal_px / 0.6
    low, high = pixels[:, :2].min(axis=0), pixels[:, :2].max(axis=0)
    return FaceObservation(
        face_id=face_id,
        age=0,
        landmarks=Landmarks("toy", pixels, np.full(LANDMARKS, 0.5, np.float32)),
        presence=1.0,
        box=np.concatenate([low, high - low]),
        arkit_hint=np.zeros(52, np.float32),
    )


def stage(smoothing: SmoothingConfig | None = None) -> FitStage:
    return FitStage(toy_model(), "toy", smoothing=smoothing)


def yaw_of(face) -> float:
    return float(head_euler(matrix_from_quaternion(face.quaternion))[0])


def spoilt(kind: str) -> FaceObservation:
    good = observation()
    points, sigma = good.landmarks.points.copy(), good.landmarks.sigma.copy()
    match kind:
        case "nan point":
            points[7, 0] = np.nan
        case "nan depth":
            points[3, 2] = np.nan
        case "infinite point":
            points[7, 1] = np.inf
        case "nan sigma":
            sigma[0] = np.nan
        case "zero sigma":
            sigma[5] = 0.0
        case "nan score":
            hint = np.zeros(52, np.float32)
            hint[25] = np.nan
            return replace(good, arkit_hint=hint)
        case "nan presence":
            return replace(good, presence=float("nan"))
    return replace(good, landmarks=Landmarks("toy", points, sigma))


@pytest.mark.parametrize(
    "kind",
    ["nan point", "nan depth", "infinite point", "nan sigma", "zero sigma", "nan score", "nan presence"],
)
def test_an_observation_without_usable_numbers_is_a_lost_frame_and_poisons_nothing(kind):
    clean, hit = stage(), stage()
    for index in range(6):
        clean.process([observation(0.02 * index)], CAMERA, index * FRAME_NS)
        hit.process([observation(0.02 * index)], CAMERA, index * FRAME_NS)
    assert hit.process([spoilt(kind)], CAMERA, 6 * FRAME_NS) == ()
    for index in range(7, 12):
        (face,) = hit.process([observation(0.02 * index)], CAMERA, index * FRAME_NS)
        (wanted,) = clean.process([observation(0.02 * index)], CAMERA, index * FRAME_NS)
        for value in (face.position, face.quaternion, face.params.expression, face.arkit, face.identity):
            assert np.isfinite(value).all()
        assert yaw_of(face) == pytest.approx(yaw_of(wanted), abs=0.02)


def test_one_spoilt_face_does_not_cost_the_other():
    both = stage()
    both.process([observation(), observation(x_m=0.15, face_id=1)], CAMERA, 0)
    (left,) = both.process([spoilt("nan point"), observation(x_m=0.15, face_id=1)], CAMERA, FRAME_NS)
    assert left.id == 1


def test_landmarks_in_one_point_neither_crash_nor_spoil_what_follows():
    good = observation()
    one_point = np.full((LANDMARKS, 3), 100.0, np.float32)
    flat = replace(
        good,
        landmarks=Landmarks("toy", one_point, good.landmarks.sigma),
        box=np.array([100.0, 100.0, 0.0, 0.0], np.float32),
    )
    fits = stage()
    for face in fits.process([flat], CAMERA, 0):
        assert np.isfinite(face.position).all() and np.isfinite(face.confidence)
    (face,) = fits.process([good], CAMERA, FRAME_NS)
    assert face.position[2] == pytest.approx(0.6, rel=0.05)


def test_a_face_that_was_away_returns_where_it_is_not_where_it_was():
    fits = stage()
    for index in range(5):
        fits.process([observation(-0.4, x_m=-0.1)], CAMERA, index * FRAME_NS)
    for index in range(5, 8):
        assert fits.process([], CAMERA, index * FRAME_NS) == ()
    (face,) = fits.process([observation(0.5, x_m=0.1)], CAMERA, 8 * FRAME_NS)
    assert yaw_of(face) == pytest.approx(
        yaw_of(stage(NO_SMOOTHING).process([observation(0.5, 0.1)], CAMERA, 0)[0]), abs=0.03
    )
    assert face.position[0] == pytest.approx(0.1, abs=0.01)
    assert np.array_equal(face.params.rotation, face.raw.rotation)


@pytest.mark.parametrize("next_ns", [-5 * FRAME_NS, 0, 3_600_000_000_000])
def test_time_that_stands_still_runs_back_or_leaps_gives_finite_faces(next_ns):
    fits = stage()
    for index in range(4):
        fits.process([observation(0.05 * index)], CAMERA, 10 * FRAME_NS + index * FRAME_NS)
    for step in range(3):
        (face,) = fits.process([observation(0.2)], CAMERA, 13 * FRAME_NS + next_ns + step * FRAME_NS)
        assert np.isfinite(face.position).all() and np.isfinite(face.params.expression).all()
    assert yaw_of(face) == pytest.approx(yaw_of(stage(NO_SMOOTHING).process([observation(0.2)], CAMERA, 0)[0]), abs=0.1)


def test_people_away_for_ten_seconds_are_forgotten():
    fits = stage()
    fits.process([observation()], CAMERA, 0)
    fits.process([], CAMERA, 11_000_000_000)
    assert not fits._people


def test_recentering_waits_for_a_face():
    fits = stage(NO_SMOOTHING)
    fits.request_recenter()
    fits.process([], CAMERA, 0)
    (face,) = fits.process([observation(0.3, x_m=0.1)], CAMERA, FRAME_NS)
    assert yaw_of(face) == pytest.approx(0.0, abs=1e-4)
    assert face.position[:2] == pytest.approx([0.0, 0.0], abs=1e-5)
    # The model's own parameters stay in the real camera's frame.
    assert face.params.translation[0] == pytest.approx(0.1, abs=0.02)
