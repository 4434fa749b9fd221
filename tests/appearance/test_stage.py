"""The appearance stage on rendered faces whose skin and light are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.appearance.faces import CAMERA, SKIN, face_of, lit_picture, params_at
from tracker.appearance import AppearanceStage, albedo_uv
from tracker.errors import FaceModelError
from tracker.face_model import load_face_model
from tracker.types import Face

DAY = np.zeros((9, 3), np.float32)
DAY[0], DAY[1], DAY[2] = 2.2, -0.35, -0.5


def lamp_at(angle: float) -> NDArray[np.float32]:
    """Light with a lamp that swings sideways in front of the face."""
    sh = DAY.copy()
    sh[3] = 0.7 * np.sin(angle)
    sh[2] = -0.7 * np.cos(angle)
    return sh


@pytest.fixture(scope="module")
def albedo() -> NDArray[np.float32]:
    """(V, 3) smooth patches of lighter, darker and redder skin, the same on both sides."""
    model = load_face_model()
    x, y, z = np.abs(model.template[:, 0]), model.template[:, 1], model.template[:, 2]
    shade = 0.15 * np.sin(180 * y) + 0.1 * np.cos(230 * x) + 0.1 * np.sin(300 * z)
    red = 0.08 * np.sin(260 * y + 1.0)
    return (SKIN * np.exp(np.stack([shade + red, shade, shade - red], axis=1))).astype(np.float32)


@pytest.fixture(scope="module")
def shared_stage() -> AppearanceStage:
    return AppearanceStage(load_face_model())


@pytest.fixture
def stage(shared_stage: AppearanceStage) -> AppearanceStage:
    shared_stage.reset()
    return shared_stage


def follow(stage: AppearanceStage, pictures: list[NDArray[np.uint8]], yaws: list[float] | None = None) -> list[Face]:
    yaws = yaws or [0.0] * len(pictures)
    return [
        stage.process(picture, (face_of(params_at(yaw)),), CAMERA, index * 33_000_000)[0]
        for index, (picture, yaw) in enumerate(zip(pictures, yaws, strict=True))
    ]


def test_a_first_frame_has_light_and_skin_and_nothing_covered(stage: AppearanceStage) -> None:
    (face,) = follow(stage, [lit_picture(DAY)])
    assert face.light is not None and face.occlusion is not None and face.albedo is not None
    assert face.light.sh.shape == (9, 3)
    assert 0.2 < face.light.exposure < 2.0
    assert face.occlusion.fraction < 0.05
    assert face.albedo.points.shape == (stage.points.count, 3)
    assert face.albedo.version == 1


def test_skin_is_found_up_to_its_brightness(stage: AppearanceStage, albedo: NDArray[np.float32]) -> None:
    angles = np.sin(np.linspace(0, 6, 40)) * 1.2
    yaws = [round(float(yaw), 1) for yaw in np.sin(np.linspace(0, 5, 40)) * 0.4]
    pictures = [lit_picture(lamp_at(angle), albedo, yaw) for angle, yaw in zip(angles, yaws, strict=True)]
    follow(stage, pictures, yaws)
    known = stage.albedo(1)
    assert known is not None
    points = stage.points
    true = np.log(np.einsum("pc,pcd->pd", points.barycentric, albedo[points.corners]))
    seen = known.seen > 0.5
    assert seen.mean() > 0.6
    error = np.log(known.points[seen]) - true[seen]
    error -= error.mean(axis=0)
    spread = true[seen] - true[seen].mean(axis=0)
    assert np.sqrt((error**2).mean()) < 0.5 * np.sqrt((spread**2).mean())


def test_a_moving_lamp_moves_the_light_and_not_the_skin(stage: AppearanceStage, albedo: NDArray[np.float32]) -> None:
    angles = np.sin(np.linspace(0, 9, 60)) * 1.2
    logs, lights = [], []
    for index, angle in enumerate(angles):
        (face,) = stage.process(lit_picture(lamp_at(angle), albedo), (face_of(),), CAMERA, index * 33_000_000)
        known = stage.albedo(1)
        assert face.light is not None and known is not None
        logs.append(np.log(known.points))
        lights.append(face.light.sh[3] / face.light.sh[0])
    moved = np.std(np.array(logs[20:])[:, known.seen > 0.5], axis=0).mean()
    alone = []
    for angle in angles[20:]:
        stage.reset()
        (face,) = stage.process(lit_picture(lamp_at(angle), albedo), (face_of(),), CAMERA, 0)
        assert face.albedo is not None
        alone.append(np.log(face.albedo.points))
    assert moved < 0.2 * np.std(np.array(alone), axis=0).mean()
    # The swing shows in the light: one for one.
    swing = np.polyfit(0.7 * np.sin(angles[20:]) / 2.2, np.array(lights[20:])[:, 1], 1)[0]
    assert 0.7 < swing < 1.3


@pytest.mark.parametrize("gain", [(0.5, 0.5, 0.5), (1.5, 1.5, 1.5), (1.3, 1.0, 0.7)])
def test_steps_of_exposure_and_white_balance_are_light(
    stage: AppearanceStage, albedo: NDArray[np.float32], gain: tuple[float, float, float]
) -> None:
    before = follow(stage, [lit_picture(DAY * 0.8, albedo)] * 35)[-1]
    (after,) = stage.process(lit_picture(DAY * 0.8 * np.float32(gain), albedo), (face_of(),), CAMERA, 2_000_000_000)
    assert before.light is not None and after.light is not None
    assert before.albedo is not None and after.albedo is not None and after.occlusion is not None
    np.testing.assert_allclose(after.light.sh[0] / before.light.sh[0], gain, rtol=0.05)
    assert np.abs(np.log(after.albedo.points) - np.log(before.albedo.points)).max() < 0.02
    assert after.occlusion.fraction < 0.03


def test_something_before_the_mouth_is_found_and_leaves_no_trace(
    stage: AppearanceStage, albedo: NDArray[np.float32]
) -> None:
    plain = lit_picture(DAY, albedo)
    before = follow(stage, [plain] * 20)[-1]
    covered = plain.copy()
    covered[166:206, 130:190] = (30, 60, 120)
    for index in range(20, 40):
        (face,) = stage.process(covered, (face_of(),), CAMERA, index * 33_000_000)
    explained = stage.explained(1)
    assert explained is not None and face.occlusion is not None
    pixels = explained.seen.pixels[:, explained.index]
    inside = (pixels[0] > 133) & (pixels[0] < 187) & (pixels[1] > 169) & (pixels[1] < 203)
    far = (np.abs(pixels[0] - 160) > 36) | (np.abs(pixels[1] - 186) > 28)
    probability = face.occlusion.points[explained.index]
    assert inside.sum() > 50 and (probability[inside] > 0.5).mean() > 0.95
    assert (probability[far] > 0.5).mean() < 0.05
    names = load_face_model().region_names
    assert face.occlusion.regions[names.index("mouth")] > 0.4
    assert face.occlusion.regions[names.index("forehead")] < 0.05
    at_landmarks = stage.landmark_occlusion(1, "mediapipe478")
    assert at_landmarks is not None and at_landmarks.shape == (478,)
    assert at_landmarks[13] > 0.8 and at_landmarks[10] < 0.2
    for index in range(40, 48):
        (after,) = stage.process(plain, (face_of(),), CAMERA, index * 33_000_000)
    assert after.occlusion is not None and after.occlusion.fraction < 0.03
    assert before.albedo is not None and after.albedo is not None
    assert np.abs(np.log(after.albedo.points) - np.log(before.albedo.points)).mean() < 0.03


def test_a_black_or_a_white_picture_says_nothing_and_forgets_nothing(stage: AppearanceStage) -> None:
    (known,) = follow(stage, [lit_picture(DAY)])
    for code in (0, 255):
        flat = np.full((CAMERA.height, CAMERA.width, 3), code, np.uint8)
        (face,) = stage.process(flat, (face_of(),), CAMERA, 33_000_000)
        assert face.light is None and face.occlusion is None
        assert face.albedo is known.albedo


def test_a_tiny_face_and_one_that_left_the_picture_say_nothing(stage: AppearanceStage) -> None:
    picture = lit_picture(DAY)
    for place in ((0.0, 0.0, 12.0), (0.9, 0.0, 0.4), (0.0, 0.0, 0.01)):
        params = replace(params_at(), translation=np.array(place, np.float32))
        (face,) = stage.process(picture, (face_of(params),), CAMERA, 0)
        assert face.light is None and face.occlusion is None and face.albedo is None


def test_half_a_face_in_the_picture_is_enough(stage: AppearanceStage) -> None:
    faces = [
        stage.process(lit_picture(DAY, x=0.14), (face_of(params_at(0.0, 0.14)),), CAMERA, index * 33_000_000)[0]
        for index in range(3)
    ]
    occlusion = faces[-1].occlusion
    assert occlusion is not None and 0.1 < occlusion.visible.mean() < 0.6
    assert occlusion.fraction < 0.1


def test_people_do_not_share_skin_and_can_be_forgotten(stage: AppearanceStage) -> None:
    pale = lit_picture(DAY)
    one, two = stage.process(pale, (face_of(face_id=1), face_of(face_id=2)), CAMERA, 0)
    assert one.albedo is not None and two.albedo is not None
    stage.forget(1)
    assert stage.landmark_occlusion(1, "mediapipe478") is None and stage.explained(1) is None
    assert stage.landmark_occlusion(2, "mediapipe478") is not None
    with pytest.raises(FaceModelError, match="no embedding"):
        stage.landmark_occlusion(2, "unknown")
    stage.process(pale, (), CAMERA, 11_000_000_000)
    assert stage.explained(2) is None


def test_the_texture_holds_what_the_points_hold(stage: AppearanceStage, albedo: NDArray[np.float32]) -> None:
    follow(stage, [lit_picture(DAY, albedo)] * 10)
    known = stage.albedo(1)
    assert known is not None and stage.albedo(2) is None
    texture, seen = albedo_uv(load_face_model(), stage.points, known, 256)
    assert texture.shape == (256, 256, 3) and seen.shape == (256, 256)
    assert np.isfinite(texture).all() and texture.min() > 0.0 and seen.max() <= 1.0
    uv = stage.points.uv
    at = texture[np.clip(((1 - uv[:, 1]) * 256).astype(int), 0, 255), np.clip((uv[:, 0] * 256).astype(int), 0, 255)]
    sure = known.seen > 0.5
    assert np.corrcoef(at[sure, 1], known.points[sure, 1])[0, 1] > 0.8


def test_a_cut_keeps_the_skin_and_takes_the_new_light_at_once(
    stage: AppearanceStage, albedo: NDArray[np.float32]
) -> None:
    before = follow(stage, [lit_picture(DAY, albedo)] * 10)[-1]
    stage.cut()
    (after,) = stage.process(lit_picture(lamp_at(1.2) * 0.7, albedo), (face_of(),), CAMERA, 400_000_000)
    assert before.albedo is not None and after.albedo is not None and after.occlusion is not None
    assert after.occlusion.fraction < 0.05
    assert np.abs(after.albedo.points - before.albedo.points).max() < 0.02


def looked_at(faces: list[Face]) -> list[bool]:
    """Whether what covers each face but the first was judged anew."""
    return [face.occlusion is not before.occlusion for before, face in pairwise(faces)]


def test_a_face_that_nothing_happens_to_rests_every_second_frame_and_wakes(stage: AppearanceStage) -> None:
    plain = lit_picture(DAY)
    faces = follow(stage, [plain] * 80)
    looks = looked_at(faces)
    assert all(looks[:60])
    assert sorted(looks[-2:]) == [False, True]
    last = 79 * 33_000_000 + (0 if looks[-1] else -33_000_000)
    assert not stage.needs_look(1, last + 33_000_000)
    assert stage.needs_look(1, last + 50_000_000) and stage.needs_look(1, last - 1) and stage.needs_look(2, last)
    dark = lit_picture(DAY * np.float32(0.8))
    woken = [stage.process(dark, (face_of(),), CAMERA, last + step * 66_000_000)[0] for step in (1, 2)]
    assert woken[0].light is not None and faces[-1].light is not None
    assert woken[0].light.exposure == pytest.approx(0.8 * faces[-1].light.exposure, rel=0.05)
    stage.process(plain, (face_of(),), CAMERA, last + 3 * 66_000_000)
    assert stage.needs_look(1, last + 3 * 66_000_000 + 1)


def test_a_face_with_something_new_before_it_does_not_rest(stage: AppearanceStage) -> None:
    plain = lit_picture(DAY)
    follow(stage, [plain] * 70)
    covered = plain.copy()
    covered[150:206, 110:210] = (30, 60, 120)
    for index in range(2):
        stage.process(covered, (face_of(),), CAMERA, 3_000_000_000 + index * 66_000_000)
    assert stage.needs_look(1, 3_067_000_000)


def test_every_frame_is_looked_at_where_that_is_wanted() -> None:
    stage = AppearanceStage(load_face_model(), every_frame=True)
    assert all(looked_at(follow(stage, [lit_picture(DAY)] * 70)))
