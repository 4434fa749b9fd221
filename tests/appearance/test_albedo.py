"""The belief about skin, and the tone prior."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.appearance.albedo import AlbedoBelief
from tracker.appearance.occlusion import OcclusionField
from tracker.appearance.points import SkinPoints, place_points
from tracker.appearance.tone import MEAN_TONE, ToneAnchor, skin_tone
from tracker.face_model import load_face_model


@pytest.fixture(scope="module")
def points() -> SkinPoints:
    return place_points(load_face_model())


def test_frames_average_by_their_weight(points: SkinPoints) -> None:
    belief = AlbedoBelief(points)
    index = np.arange(points.count)
    for value, weight in ((0.3, 1.0), (0.0, 3.0)):
        log = np.full((3, points.count), value, np.float32)
        belief.learn(index, log, np.full(points.count, weight, np.float32))
    np.testing.assert_allclose(belief.measured, 0.3 / 4, atol=1e-6)


def test_what_one_half_shows_the_other_half_gets(points: SkinPoints) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(0, 0.2, points.count).astype(np.float32)
    pattern = pattern + pattern[points.partner]
    seen = np.flatnonzero(points.template[:, 0] > 0)
    belief = AlbedoBelief(points)
    for _ in range(20):
        belief.learn(seen, np.tile(pattern[seen], (3, 1)), np.ones(seen.size, np.float32))
        belief.reconcile(4)
    hidden = points.partner[seen]
    assert np.corrcoef(belief.log[1, hidden], pattern[hidden])[0, 1] > 0.9
    assert belief.seen[hidden].max() == 0.0 and belief.seen[seen].min() == 1.0


def test_the_mean_over_bare_skin_stays_zero(points: SkinPoints) -> None:
    belief = AlbedoBelief(points)
    belief.learn(
        np.arange(points.count), np.full((3, points.count), 0.5, np.float32), np.ones(points.count, np.float32)
    )
    belief.reconcile(3)
    np.testing.assert_allclose(belief.log[:, points.is_bare].mean(axis=1), 0.0, atol=1e-5)


def test_average_skin_in_average_light_has_the_average_tone() -> None:
    np.testing.assert_allclose(skin_tone(MEAN_TONE + np.log(0.7)), MEAN_TONE, atol=1e-9)


def test_darker_pictures_are_partly_darker_skin_and_warm_ones_mostly_light() -> None:
    middle = MEAN_TONE + np.log(0.7)
    darker = skin_tone(middle - 0.5) - MEAN_TONE
    assert (darker < -0.1).all() and (darker > -0.5).all()
    warm = skin_tone(middle + np.array([0.2, 0.0, -0.3])) - MEAN_TONE
    assert np.abs(warm).max() < 0.2


def test_the_tone_does_not_follow_later_exposure() -> None:
    anchor = ToneAnchor()
    for _ in range(30):
        anchor.observe(MEAN_TONE)
    tone = anchor.log_tone
    anchor.observe(MEAN_TONE - 1.0)
    np.testing.assert_array_equal(anchor.log_tone, tone)


def test_a_patch_of_another_colour_is_covered_and_a_lone_point_is_not(points: SkinPoints) -> None:
    field = OcclusionField(points)
    rng = np.random.default_rng(0)
    index = np.arange(points.count)
    centre = points.template[np.argmax(points.template[:, 2])]
    patch = np.linalg.norm(points.template - centre, axis=1) < 0.02
    known, flat = np.full(points.count, 0.001, np.float32), np.zeros(points.count, np.float32)
    for _ in range(5):
        residual = rng.normal(0, 0.03, (3, points.count)).astype(np.float32)
        residual[:, patch] -= np.array([[0.6], [0.9], [1.0]], np.float32)
        residual[:, 7] += 0.3
        covered = field.observe(index, residual, known, flat, flat)
    assert (covered[patch] > 0.9).mean() > 0.95
    far = ~patch & (np.linalg.norm(points.template - centre, axis=1) > 0.03)
    assert (covered[far] > 0.5).mean() < 0.01
    assert covered[7] < 0.5
