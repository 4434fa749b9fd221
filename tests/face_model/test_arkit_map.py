"""ARKit's expressions on a model with its own: there, back, and what has no counterpart."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tools.structured_models.flame import flame_parameters
from tools.structured_models.flame_model import arkit_targets, flame_face_model
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.face_model import load_face_model, read_face_model
from tracker.face_model.arkit_map import (
    ArkitReader,
    default_noise,
    describe_arkit_map,
    plausible_weights,
    round_trip,
    with_arkit_map,
)  # fmt: skip
from tracker.face_model.writing import write_face_model

SIGMA = np.full(52, 0.3)


def test_the_map_makes_the_built_in_heads_expressions_on_the_other_mesh():
    model = flame_face_model()
    targets = arkit_targets()
    identity = np.zeros(model.identity_count, np.float32)
    skin = model.skin_mask > 0.5
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp", "mouthPucker"):
        weights = model.arkit_map[:, ARKIT_INDEX[name]]
        posed = model.vertices_head(identity, model.params_of(weights, np.zeros(3), np.zeros(3))) - model.template
        wanted = targets[:, :, load_face_model().expression_names.index(name)]
        assert np.abs(posed - wanted)[skin].max() < 0.08 * np.abs(wanted).max(), name
    assert np.delete(model.arkit_explained, ARKIT_INDEX["tongueOut"]).min() > 0.97
    assert model.arkit_explained[ARKIT_INDEX["tongueOut"]] == 0.0


def test_jaw_and_gaze_come_out_as_the_joints_turns():
    model = flame_face_model()
    for name in ("jawOpen", "eyeLookUpLeft", "eyeLookOutRight"):
        _, jaw, eyes = flame_parameters({name: 1.0})
        params = model.params_of(model.arkit_map[:, ARKIT_INDEX[name]], np.zeros(3), np.zeros(3))
        np.testing.assert_allclose(params.jaw, jaw, atol=0.01)
        np.testing.assert_allclose(params.eyes, eyes, atol=0.01)


def test_there_and_back():
    model = flame_face_model()
    trip = round_trip(model, ArkitReader(model.arkit_map, SIGMA, default_noise(model)), 500)
    tongue = ARKIT_INDEX["tongueOut"]
    assert np.isnan(trip.correlation[tongue])
    assert np.nanmin(trip.correlation) > 0.98
    assert np.delete(trip.rmse, tongue).max() < 0.08


def test_what_has_no_counterpart_comes_from_the_mean():
    model = flame_face_model()
    reader = ArkitReader(model.arkit_map, SIGMA, default_noise(model))
    expected = np.zeros(52)
    expected[ARKIT_INDEX["tongueOut"]] = 0.7
    found = reader(np.zeros(model.expression_count), expected)
    assert found[ARKIT_INDEX["tongueOut"]] == pytest.approx(0.7, abs=1e-6)
    assert np.delete(found, ARKIT_INDEX["tongueOut"]).max() < 1e-6


def test_reading_costs_next_to_nothing():
    model = flame_face_model()
    reader = ArkitReader(model.arkit_map, SIGMA, default_noise(model))
    weights, mean = model.arkit_map[:, 3], np.zeros(52)
    spent = []
    for _ in range(50):
        start = time.perf_counter()
        reader(weights, mean)
        spent.append(time.perf_counter() - start)
    assert np.median(spent) < 1e-4


def test_the_description_names_what_is_missing():
    lines = describe_arkit_map(flame_face_model())
    assert any("51 of 52 expressions" in line for line in lines)
    assert any(line.startswith("no counterpart: tongueOut") for line in lines)
    assert describe_arkit_map(load_face_model()) == ()


def test_a_model_that_can_do_little_says_so():
    model = flame_face_model()
    count = model.expression_count
    basis = model.expression_basis.copy()
    basis[:, :, 3 : count - 9] = 0.0
    poor = with_arkit_map(
        replace(model, expression_basis=basis, arkit_map=None), load_face_model().expression_names, arkit_targets()
    )
    assert np.delete(poor.arkit_explained, ARKIT_INDEX["tongueOut"]).min() < 0.5
    assert any(line.startswith("made only in part") for line in describe_arkit_map(poor))


def test_targets_must_be_arkits():
    model = flame_face_model()
    with pytest.raises(ValueError, match="expected targets for ARKit's 52 expressions"):
        with_arkit_map(model, ("jawOpen",), np.zeros((model.vertex_count, 3, 1), np.float32))


def test_plausible_weights_are_plausible():
    weights = plausible_weights(400)
    assert weights.min() >= 0.0
    assert weights.max() <= 1.0
    column = {name: weights[:, index] for index, name in enumerate(ARKIT_NAMES)}
    assert (column["mouthClose"] <= column["jawOpen"]).all()
    assert not (column["jawLeft"] * column["jawRight"]).any()
    assert np.corrcoef(column["mouthSmileLeft"], column["mouthSmileRight"])[0, 1] > 0.5
    assert np.corrcoef(column["eyeLookUpLeft"], column["eyeLookUpRight"])[0, 1] > 0.99


def test_the_map_is_stored_with_the_model(tmp_path):
    model = flame_face_model()
    write_face_model(tmp_path / "flame.npz", model)
    back = read_face_model(tmp_path / "flame.npz")
    np.testing.assert_array_equal(back.arkit_map, model.arkit_map)
    np.testing.assert_array_equal(back.arkit_explained, model.arkit_explained)
    np.testing.assert_array_equal(back.joint_expression, model.joint_expression)
    assert back.control_count == 9
    assert len(back.published_names) == 100
