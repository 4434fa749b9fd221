"""Models of many components are fitted in the modes that landmarks can tell, and published in their own coefficients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fitting.test_identity import CAMERA, observations, shape_error_m
from tests.toy_model import toy_model
from tracker.face_model import FaceModel
from tracker.face_model.store import read_face_model
from tracker.face_model.writing import write_face_model
from tracker.fitting.fitter import FaceFitter
from tracker.fitting.identity import IdentityConfig
from tracker.fitting.identity_modes import IdentityModes

COUNT = 200


@pytest.fixture(scope="module")
def many() -> tuple[FaceModel, np.ndarray]:
    """The toy model with its components spread over many, and the orthonormal rows (Ni, COUNT) that do it."""
    model = toy_model()
    rows = np.linalg.qr(np.random.default_rng(3).normal(0, 1, (COUNT, model.identity_count)))[0].T
    return replace(
        model,
        identity_basis=(model.identity_basis @ rows).astype(np.float32),
        joint_identity=(model.joint_identity @ rows).astype(np.float32),
    ), rows


def test_a_small_model_keeps_its_coefficients():
    modes = IdentityModes(toy_model(), "toy")
    some = np.arange(toy_model().identity_count, dtype=np.float32)
    assert modes.modes_of(some) == pytest.approx(some)
    assert modes.reduced(toy_model().identity_basis) is toy_model().identity_basis or np.array_equal(
        modes.reduced(toy_model().identity_basis), toy_model().identity_basis
    )


def test_modes_and_coefficients_go_there_and_back(many):
    model, _ = many
    modes = IdentityModes(model, "toy")
    count = modes.modes_of(np.zeros(COUNT)).size
    assert count <= toy_model().identity_count
    some = np.random.default_rng(0).normal(0, 1, count)
    assert modes.modes_of(modes.coefficients(some)) == pytest.approx(some)
    covariance = modes.covariance(np.eye(count) * 0.25)
    assert np.diag(covariance) == pytest.approx(modes.sigma(np.eye(count) * 0.25) ** 2, abs=1e-6)
    assert np.sort(np.linalg.eigvalsh(covariance))[:count] == pytest.approx(np.full(count, 0.25))
    information = np.linalg.inv(covariance) - np.eye(COUNT)
    assert modes.modes_information(information) == pytest.approx(3.0 * np.eye(count), abs=1e-9)


def test_many_components_give_the_face_that_few_give(many):
    model, rows = many
    truth = np.random.default_rng(8).normal(0, 1.5, toy_model().identity_count).astype(np.float32)
    few, spread = FaceFitter(toy_model(), "toy"), FaceFitter(model, "toy")
    for seen in observations(truth, 30, seed=1):
        one, other = few.fit(seen, CAMERA), spread.fit(seen, CAMERA)
    assert other.identity.shape == other.identity_state.sigma.shape == (COUNT,)
    assert spread.identity.mean.size < COUNT
    between = shape_error_m((rows @ other.identity).astype(np.float32), one.identity)
    assert between < 0.1 * shape_error_m(np.zeros_like(truth), truth)


def test_points_that_lie_off_their_places_tell_less_of_the_person(tmp_path):
    """A foreign model's uncertainty survives the file, and keeps the face nearer to the mean with a wider sigma."""
    model = toy_model()
    unsure = replace(model, embeddings={"toy": replace(model.embedding("toy"), uncertainty_m=0.003)})
    write_face_model(tmp_path / "unsure.npz", unsure)
    unsure = read_face_model(tmp_path / "unsure.npz")
    assert unsure.embedding("toy").uncertainty_m == pytest.approx(0.003)
    truth = np.random.default_rng(8).normal(0, 1.5, model.identity_count).astype(np.float32)
    sure_fit, unsure_fit = FaceFitter(model, "toy"), FaceFitter(unsure, "toy")
    for seen in observations(truth, 30, seed=1):
        sure, other = sure_fit.fit(seen, CAMERA), unsure_fit.fit(seen, CAMERA)
    assert np.linalg.norm(other.identity) < np.linalg.norm(sure.identity)
    assert (other.identity_state.sigma >= sure.identity_state.sigma).all()
    assert shape_error_m(other.identity, truth) < shape_error_m(np.zeros_like(truth), truth)


def test_the_weight_of_the_population_grows_with_variances():
    config = IdentityConfig(prior_weight=10.0, seen_off_m=0.001)
    assert config.for_points_off_by(0.0).prior_weight == pytest.approx(10.0)
    assert config.for_points_off_by(0.002).prior_weight == pytest.approx(50.0)
