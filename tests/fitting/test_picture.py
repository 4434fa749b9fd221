"""The picture's say in the fit: derivatives, who is believed when, and that nothing which moves is held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.appearance.faces import CAMERA, face_of, params_at
from tests.fitting.skin_scene import SET, observation, picture, with_hand
from tracker.appearance import AppearanceStage
from tracker.face_model import load_face_model
from tracker.fitting.fitter import FitConfig
from tracker.fitting.photometric import PhotometricConfig, linearise
from tracker.fitting.picture import PictureConfig
from tracker.fitting.stage import FitStage
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.smoothing import SmoothingConfig
from tracker.types import FaceParams, SkinView

FRAME_NS = 33_333_333
KNOWN_FRAMES = 14


@pytest.fixture(scope="module")
def skin() -> AppearanceStage:
    return AppearanceStage(load_face_model())


@pytest.fixture
def acquainted(skin: AppearanceStage) -> AppearanceStage:
    """A stage that has seen face 1 for a while."""
    skin.reset()
    for frame in range(KNOWN_FRAMES):
        skin.process(picture(), (face_of(),), CAMERA, frame * FRAME_NS)
    return skin


def view_of(skin: AppearanceStage, params: FaceParams, image=None) -> SkinView:
    model = load_face_model()
    seen = skin.view(
        picture() if image is None else image, 1, params, np.zeros(model.identity_count, np.float32), CAMERA
    )
    assert seen is not None
    return seen


def moved(step: np.ndarray) -> FaceParams:
    params = params_at()
    rotation = matrix_from_rotvec(step[:3]) @ matrix_from_rotvec(params.rotation)
    return replace(
        params,
        rotation=head_rotvec_from_matrix(rotation).astype(np.float32),
        translation=(params.translation + step[3:]).astype(np.float32),
    )


def follow(stage: FitStage, skin: AppearanceStage | None, frames) -> list:
    """Fit frames of (observation, image); the appearance learns from each."""
    faces = []
    for index, (seen, image) in enumerate(frames):
        found = stage.process([seen], CAMERA, index * FRAME_NS, image)
        if skin is not None:
            found = skin.process(image, found, CAMERA, index * FRAME_NS)
        faces.append(found[0])
    return faces


def fit_stage(skin: AppearanceStage | None, always: bool = False) -> FitStage:
    config = FitConfig(picture=PictureConfig(always=always))
    return FitStage(load_face_model(), SET, config, SmoothingConfig(enabled=False), skin=skin)


@pytest.mark.parametrize("axis", range(6))
def test_a_step_of_the_pose_changes_the_picture_as_the_derivatives_say(acquainted: AppearanceStage, axis: int) -> None:
    step = np.zeros(6)
    step[axis] = 0.012 if axis < 3 else (0.0012 if axis < 5 else 0.006)
    config = PhotometricConfig(least_sigma=1.0, most_points=2000)
    at = view_of(acquainted, moved(step))
    rows = linearise(at, moved(step).translation.astype(np.float64), CAMERA.focal_px, config)
    assert rows is not None
    home = linearise(
        view_of(acquainted, params_at()), params_at().translation.astype(np.float64), CAMERA.focal_px, config
    )
    assert home is not None
    # The gradient changes along the step by the normal matrix times it.
    predicted = -step[axis] * rows.normal[axis, axis]
    assert rows.gradient[axis] - home.gradient[axis] == pytest.approx(predicted, rel=0.3)


def test_alignment_finds_back_from_a_wrong_pose(acquainted: AppearanceStage) -> None:
    step = np.array([0.0, 0.03, 0.0, 0.003, -0.002, 0.0])
    for _ in range(5):
        params = moved(step)
        rows = linearise(
            view_of(acquainted, params), params.translation.astype(np.float64), CAMERA.focal_px, PhotometricConfig()
        )
        assert rows is not None
        step = step + np.linalg.solve(rows.normal + 1e-6 * np.eye(6), rows.gradient)
    assert np.abs(step[:3]).max() < 0.012
    assert np.abs(step[3:5]).max() < 0.0008


def test_what_skin_cannot_explain_has_no_say(acquainted: AppearanceStage) -> None:
    clean = view_of(acquainted, params_at())
    wild = replace(clean, error=np.where(np.arange(clean.error.size) % 3 == 0, np.float32(2.0), clean.error))
    origin = params_at().translation.astype(np.float64)
    config = PhotometricConfig()
    pure, spoilt = (linearise(each, origin, CAMERA.focal_px, config) for each in (clean, wild))
    assert pure is not None and spoilt is not None
    step = np.linalg.solve(spoilt.normal, spoilt.gradient) - np.linalg.solve(pure.normal, pure.gradient)
    assert np.abs(step[3:5]).max() < 0.0015
    assert spoilt.explained < 0.8 * pure.explained


def test_points_that_are_not_numbers_are_left_out(acquainted: AppearanceStage) -> None:
    clean = view_of(acquainted, params_at())
    error = clean.error.copy()
    error[::5] = np.nan
    rows = linearise(
        replace(clean, error=error), params_at().translation.astype(np.float64), CAMERA.focal_px, PhotometricConfig()
    )
    assert rows is not None and np.isfinite(rows.normal).all() and np.isfinite(rows.gradient).all()


def test_nothing_is_said_about_a_face_out_of_the_picture_or_unknown(acquainted: AppearanceStage) -> None:
    identity = np.zeros(load_face_model().identity_count, np.float32)
    assert acquainted.view(picture(), 1, params_at(x=0.6), identity, CAMERA) is None
    assert acquainted.view(picture(), 77, params_at(), identity, CAMERA) is None


def test_a_black_frame_leaves_the_landmarks_alone(skin: AppearanceStage) -> None:
    skin.reset()
    black = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    frames = [(observation(), picture())] * KNOWN_FRAMES + [(observation(0.004), black)] * 2
    face = follow(fit_stage(skin), skin, frames)[-1]
    alone = follow(fit_stage(None), None, frames)[-1]
    np.testing.assert_allclose(face.raw.translation, alone.raw.translation, atol=1e-4)


def test_dragged_landmarks_do_not_drag_a_face_half_behind_a_hand(skin: AppearanceStage) -> None:
    skin.reset()
    frames = [(observation(), picture())] * KNOWN_FRAMES + [(observation(dragged_px=4.0), with_hand(picture()))] * 6
    with_picture = follow(fit_stage(skin), skin, frames)[-1]
    alone = follow(fit_stage(None), None, frames)[-1]
    off, on = (abs(float(face.raw.translation[0])) for face in (alone, with_picture))
    assert off > 0.002
    assert on < 0.5 * off
    assert (with_picture.landmarks.sigma > 1.2).all()


def test_landmarks_keep_a_say_where_their_encoder_sees_the_hand(skin: AppearanceStage) -> None:
    bare = [(observation(), picture())] * KNOWN_FRAMES
    dragged = observation(dragged_px=4.0)
    telling = replace(dragged.landmarks, visibility=np.full(len(dragged.landmarks.points), 0.95, np.float32))
    offsets = []
    for seen in (dragged, replace(dragged, landmarks=telling)):
        skin.reset()
        face = follow(fit_stage(skin), skin, bare + [(seen, with_hand(picture()))] * 6)[-1]
        offsets.append(abs(float(face.raw.translation[0])))
    alone = abs(float(follow(fit_stage(None), None, bare + [(dragged, picture())] * 6)[-1].raw.translation[0]))
    untold, told = offsets
    assert untold < told < 0.95 * alone


def test_a_face_behind_a_hand_that_moves_is_followed(skin: AppearanceStage) -> None:
    skin.reset()
    steps = 0.0015 * np.arange(1, 7)
    frames = [(observation(), picture())] * KNOWN_FRAMES + [(observation(x), with_hand(picture(x))) for x in steps]
    face = follow(fit_stage(skin), skin, frames)[-1]
    assert float(face.raw.translation[0]) == pytest.approx(steps[-1], abs=0.0015)


def test_a_free_face_is_fitted_as_without_the_picture(skin: AppearanceStage) -> None:
    skin.reset()
    steps = 0.002 * np.arange(6)
    frames = [(observation(), picture())] * KNOWN_FRAMES + [(observation(x), picture(x)) for x in steps]
    with_picture, alone = follow(fit_stage(skin), skin, frames), follow(fit_stage(None), None, frames)
    for one, other in zip(with_picture, alone, strict=True):
        np.testing.assert_allclose(one.raw.translation, other.raw.translation, atol=1e-5)


def test_the_picture_steadies_when_it_always_has_a_say(skin: AppearanceStage) -> None:
    skin.reset()
    rng = np.random.default_rng(0)
    frames = [(observation(dragged_px=float(rng.normal(0.0, 0.5))), picture()) for _ in range(30)]
    with_picture, alone = follow(fit_stage(skin, always=True), skin, frames), follow(fit_stage(None), None, frames)
    on, off = (np.std([face.raw.translation[0] for face in faces[15:]]) for faces in (with_picture, alone))
    assert on < 0.7 * off


def test_a_calm_face_is_asked_about_in_every_second_frame(
    skin: AppearanceStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    skin.reset()
    asked: list[int] = []
    view = skin.view
    monkeypatch.setattr(skin, "view", lambda *args: (asked.append(len(asked)), view(*args))[1])
    stage = fit_stage(skin)
    frames = [(observation(), picture())] * 80
    follow(stage, skin, frames)
    # The first frame has no skin to ask about; then all of the first sixty, and from then on every second.
    assert 65 <= len(asked) <= 75


def test_a_hand_that_comes_while_a_face_rests_is_noticed_a_frame_later(skin: AppearanceStage) -> None:
    skin.reset()
    frames = [(observation(), picture())] * 71 + [(observation(dragged_px=4.0), with_hand(picture()))] * 6
    with_picture = follow(fit_stage(skin), skin, frames)[-1]
    alone = follow(fit_stage(None), None, frames)[-1]
    off, on = (abs(float(face.raw.translation[0])) for face in (alone, with_picture))
    assert on < 0.6 * off
