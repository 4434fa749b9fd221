from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from tests.pictures import picture
from tracker.landmarks import LandmarkEncoder, Roi
from tracker.landmarks.crop import roi_around
from tracker.landmarks.sigma import FEATURES, SigmaModel, features

CRISP = 1 - 1e-9


@pytest.fixture(params=["mediapipe", "light"])
def model(request: pytest.FixtureRequest) -> SigmaModel:
    return SigmaModel.load(request.param)


def face_of(encoder: LandmarkEncoder, image: np.ndarray) -> Roi:
    """The crop of the one face that fills most of a portrait."""
    height, width = image.shape[:2]
    points = encoder.encode(image, Roi(width / 2, 0.55 * height, 0.8 * height, 0)).landmarks.points
    return roi_around(points, points[33], points[263])


@pytest.fixture
def frontal() -> np.ndarray:
    """A rough face in the mesh's layout, eyes open, 200 px high: only the points that the features look at matter."""
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = 300
    for index, place in {
        33: (255, 280, 10), 133: (285, 280, 0), 362: (315, 280, 0), 263: (345, 280, 10), 159: (270, 276, 0),
        145: (270, 285, 0), 386: (330, 276, 0), 374: (330, 285, 0), 10: (300, 200, 0), 152: (300, 400, 0),
    }.items():  # fmt: skip
        points[index] = place
    return points


def turned(points: np.ndarray, yaw: float) -> np.ndarray:
    """The face turned about its vertical axis."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return ((points - [300, 300, 0]) @ np.float32([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) + [300, 300, 0]).astype(
        np.float32
    )


def test_shipped_models_are_whole(model: SigmaModel) -> None:
    assert model.coefficients.shape == (len(FEATURES), 478)
    assert np.isfinite(model.coefficients).all()
    assert (model.low <= model.high).all()


def test_features_name_what_they_measure(frontal: np.ndarray) -> None:
    def of(points: np.ndarray, size: float = 300, presence: float = CRISP, gain: float = 1.0) -> dict[str, float]:
        return dict(zip(FEATURES, features(points, Roi(300, 300, size, 0), presence, gain).tolist(), strict=True))

    plain = of(frontal)
    assert plain["one"] == 1
    assert plain["yaw"] == pytest.approx(0, abs=1e-6)
    assert plain["right_eye_closed"] == 0
    assert of(turned(frontal, 0.4))["yaw"] == pytest.approx(0.4, abs=1e-3)
    assert of(turned(frontal, -0.4))["yaw"] == pytest.approx(-0.4, abs=1e-3)
    assert of(frontal, size=64)["coarseness"] == 2
    assert of(frontal, gain=4.0)["darkness"] == 2
    assert of(frontal, presence=0.5)["doubt"] == pytest.approx(0)
    shut = frontal.copy()
    shut[159] = shut[145]
    assert (of(shut)["right_eye_closed"], of(shut)["left_eye_closed"]) == (1, 0)


def test_sigma_scales_with_the_crop(model: SigmaModel, frontal: np.ndarray) -> None:
    small, large = (model.predict(frontal, Roi(300, 300, size, 0), CRISP, 1.0) for size in (300, 600))
    assert np.allclose(large, 2 * small)


def test_sigma_is_of_a_sane_size(model: SigmaModel, frontal: np.ndarray) -> None:
    """Between one and six per cent of the distance of the eyes, which is about 0.27 of the crop."""
    relative = model.predict(frontal, Roi(300, 300, 300, 0), CRISP, 1.0) / (0.27 * 300)
    assert relative.min() > 0.01 and np.median(relative) < 0.06 and relative.max() < 0.2


def test_worse_pictures_are_less_certain(model: SigmaModel, frontal: np.ndarray) -> None:
    def median(size: float = 300.0, presence: float = CRISP, gain: float = 1.0) -> float:
        return float(np.median(model.predict(frontal, Roi(300, 300, size, 0), presence, gain) / size))

    assert median(size=48) > median()
    assert median(gain=16.0) > median()
    assert median(presence=0.7) > 1.2 * median()


def test_a_turned_face_is_less_certain(encoder: LandmarkEncoder, samples: Callable[[str], Path]) -> None:
    relative = {}
    for name in ("0-f1-su-ph.jpg", "45-m7-di-ph.jpg"):
        image = picture(samples(name))
        roi = face_of(encoder, image)
        relative[name] = float(np.median(encoder.encode(image, roi).landmarks.sigma)) / roi.size
    assert relative["45-m7-di-ph.jpg"] > 1.15 * relative["0-f1-su-ph.jpg"]


def test_it_costs_next_to_nothing(model: SigmaModel, frontal: np.ndarray) -> None:
    roi = Roi(300, 300, 300, 0)
    durations = []
    for _ in range(200):
        start = perf_counter()
        model.predict(frontal, roi, CRISP, 1.0)
        durations.append(perf_counter() - start)
    assert min(durations) < 0.3e-3


def test_sigma_covers_what_disturbing_the_crop_does(encoder: LandmarkEncoder, samples: Callable[[str], Path]) -> None:
    """On faces of the sample stills, points read from shifted crops lie within two sigma nearly always."""
    rng = np.random.default_rng(0)
    for name in ("single_face.jpg", "0-f1-su-ph.jpg", "45-m7-di-ph.jpg"):
        image = picture(samples(name))
        roi = face_of(encoder, image)
        reference = encoder.encode(image, roi).landmarks
        for _ in range(4):
            off_x, off_y = rng.normal(0, 0.02, 2) * roi.size
            shifted = Roi(roi.cx + off_x, roi.cy + off_y, roi.size * 1.03, roi.rotation + 0.03)
            moved = encoder.encode(image, shifted).landmarks
            distance = np.linalg.norm((moved.points - reference.points)[:, :2], axis=1)
            assert np.mean(distance < 2 * moved.sigma) > 0.95
