"""Skin that is known beforehand: from an enrolment, a first pass, a take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.appearance.faces import CAMERA, SKIN, face_of, lit_picture
from tests.appearance.test_stage import DAY, follow, lamp_at
from tracker.appearance import AppearanceStage, LearnedSkin, albedo_uv
from tracker.appearance.typical import TypicalSkin
from tracker.errors import EnrolmentError, FaceModelError
from tracker.face_model import load_face_model
from tracker.types import Albedo


@pytest.fixture(scope="module")
def stage() -> AppearanceStage:
    return AppearanceStage(load_face_model())


@pytest.fixture(scope="module")
def skin(stage: AppearanceStage) -> LearnedSkin:
    pattern = SKIN * (1.0 + 0.2 * np.sin(load_face_model().template[:, 1:2] * 120.0)).astype(np.float32)
    stage.reset()
    follow(stage, [lit_picture(DAY, pattern)] * 20)
    learned = stage.learned(1)
    assert learned is not None and stage.learned(2) is None
    stage.reset()
    assert stage.learned(1) is None
    return learned


def test_known_skin_comes_back_from_its_array(skin: LearnedSkin) -> None:
    back = LearnedSkin.from_array(skin.to_array(), len(skin.reflectance))
    for name in ("reflectance", "frames", "variance", "detail_variance"):
        np.testing.assert_array_equal(getattr(back, name), getattr(skin, name))
    assert skin.albedo.coverage > 0.4 and skin.albedo.points.shape == (2000, 3)
    again = LearnedSkin.from_albedo(skin.albedo)
    np.testing.assert_allclose(again.reflectance, np.minimum(skin.reflectance, 1.0), atol=1e-6)


@pytest.mark.parametrize("change", ["points", "columns", "nan", "negative"])
def test_damaged_skin_is_refused(skin: LearnedSkin, change: str) -> None:
    array = skin.to_array()
    if change == "points":
        array = array[:-2]
    elif change == "columns":
        array = array[:, :3]
    else:
        array[5, 1] = np.nan if change == "nan" else -0.1
    with pytest.raises(EnrolmentError, match=r"me\.npz.*enrol again"):
        LearnedSkin.from_array(array, 2000, "me.npz")


def test_fixed_skin_stays_whatever_the_light(stage: AppearanceStage, skin: LearnedSkin) -> None:
    stage.reset()
    stage.adopt(1, skin, fixed=True)
    done = follow(stage, [lit_picture(lamp_at(angle)) for angle in np.linspace(-1.0, 1.0, 20)])
    first, last = done[0].albedo, done[-1].albedo
    assert first is not None and last is not None and first.version == last.version == 1
    np.testing.assert_allclose(first.points, np.clip(skin.reflectance, 0.0, 1.0), rtol=2e-3)
    np.testing.assert_array_equal(first.points, last.points)


def test_an_enrolled_skin_goes_on_learning(stage: AppearanceStage, skin: LearnedSkin) -> None:
    stage.reset()
    stage.adopt(1, skin)
    plain = follow(stage, [lit_picture(DAY)] * 60)[-1].albedo
    assert plain is not None
    was, now = (np.log(points[skin.frames > 5.0, 1]) for points in (skin.reflectance, plain.points))
    assert now.std() < 0.95 * was.std()
    # How light the skin is was told by the enrolment.
    assert abs(now.mean() - was.mean()) < 0.02


def test_a_hand_is_found_in_the_very_first_frame(stage: AppearanceStage, skin: LearnedSkin) -> None:
    picture = lit_picture(DAY)
    picture[100:150, 160:200] = (40, 60, 160)
    found = []
    for known in (False, True):
        stage.reset()
        if known:
            stage.adopt(1, replace(skin, reflectance=np.full_like(skin.reflectance, SKIN)), fixed=True)
        (face,) = stage.process(picture, (face_of(),), CAMERA, 0)
        explained = stage.explained(1)
        assert face.occlusion is not None and explained is not None
        x, y = explained.seen.pixels
        inside = face.occlusion.visible & (x > 163) & (x < 197) & (y > 103) & (y < 147)
        assert np.count_nonzero(inside) > 50
        found.append(float(face.occlusion.points[inside].mean()))
    assert found[1] > 0.9 and found[1] > found[0]


def test_what_is_there_for_less_than_half_of_the_time_is_not_skin(stage: AppearanceStage) -> None:
    """A patch that covers the cheek in the first third: the live mean learns it, the median over the clip does not."""
    stage.reset()
    typical = TypicalSkin()
    for index in range(30):
        picture = lit_picture(DAY)
        if index < 10:
            picture[115:145, 165:195] = (110, 70, 60)
        stage.process(picture, (face_of(),), CAMERA, index * 33_333_333)
        explained = stage.explained(1)
        assert explained is not None
        typical.add(explained)
        if index == 3:
            early = stage.learned(1)
            assert early is not None and typical.refined(early) is early
    learned = stage.learned(1)
    assert learned is not None
    x, y = explained.seen.pixels
    patch = explained.seen.visible & (x > 170) & (x < 190) & (y > 120) & (y < 140)
    plain = stage.points.is_bare & explained.seen.visible & ~patch

    def stain(skin: LearnedSkin) -> float:
        log = np.log(skin.reflectance[:, 1])
        return abs(float(np.median(log[patch]) - np.median(log[plain])))

    assert stain(typical.refined(learned)) < 0.05 < 0.5 * stain(learned)


def test_forgetting_a_face_forgets_what_it_was_given(stage: AppearanceStage, skin: LearnedSkin) -> None:
    stage.reset()
    stage.adopt(1, skin, fixed=True)
    stage.forget(1)
    (face,) = stage.process(lit_picture(DAY), (face_of(),), CAMERA, 0)
    assert face.albedo is not None
    assert np.abs(np.log(face.albedo.points / skin.reflectance)).mean() > 0.02


def test_seams_of_the_texture_meet(stage: AppearanceStage) -> None:
    """A colour that varies smoothly over the head is the same on both sides of every seam."""
    model, points = load_face_model(), stage.points
    colours: NDArray[np.float32] = 0.4 + 2.0 * points.template
    known = LearnedSkin.from_albedo(replace(_any_albedo(points.count), points=colours.astype(np.float32))).albedo
    texture, seen = albedo_uv(model, points, known, 512)
    place = np.clip((np.column_stack([model.uv[:, 0], 1.0 - model.uv[:, 1]]) * 512).astype(int), 0, 511)
    at = np.full((model.vertex_count, 2, 3), np.nan)
    vertex, corner = model.faces.ravel(), model.uv_faces.ravel()
    shown = seen[place[corner, 1], place[corner, 0]] > 0.9
    at[vertex[shown], 0] = texture[place[corner[shown], 1], place[corner[shown], 0]]
    at[vertex[shown][::-1], 1] = texture[place[corner[shown][::-1], 1], place[corner[shown][::-1], 0]]
    apart = np.abs(at[:, 0] - at[:, 1])
    assert np.nanmax(apart) < 0.05
    error = np.abs(at[:, 0] - (0.4 + 2.0 * model.template))
    assert np.nanmedian(error) < 0.01


def test_models_without_texture_and_foreign_albedos(stage: AppearanceStage) -> None:
    model = load_face_model()
    with pytest.raises(FaceModelError, match="2000 points, got 7"):
        albedo_uv(model, stage.points, _any_albedo(7))
    bare = replace(model, uv=np.zeros((0, 2), np.float32), uv_faces=np.zeros((0, 3), np.int32))
    with pytest.raises(FaceModelError, match="no texture coordinates"):
        albedo_uv(bare, stage.points, _any_albedo(2000))


def _any_albedo(count: int) -> Albedo:
    return Albedo(np.full((count, 3), 0.5, np.float32), np.ones(count, np.float32), 1.0, 1)
