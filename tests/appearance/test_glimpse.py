"""Looks at one picture: what they share, and that sharing changes nothing that matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.appearance.faces import CAMERA, face_of, params_at
from tests.fitting.skin_scene import picture
from tracker.appearance import AppearanceStage
from tracker.appearance.glimpse import Glimpses
from tracker.appearance.points import place_points
from tracker.appearance.sampling import cut_out
from tracker.appearance.surface import SkinShape, SkinSurface
from tracker.face_model import load_face_model
from tracker.srgb import LINEAR
from tracker.types import FaceParams

FRAME_NS = 33_333_333


@pytest.fixture(scope="module")
def surface() -> SkinSurface:
    model = load_face_model()
    return SkinSurface(model, place_points(model))


@pytest.fixture(scope="module")
def shape(surface: SkinSurface) -> SkinShape:
    return surface.shape(np.zeros(load_face_model().identity_count, np.float32))


def copied(params: FaceParams) -> FaceParams:
    return replace(params, expression=params.expression.copy(), rotation=params.rotation.copy())


def test_the_same_state_is_looked_at_once(surface: SkinSurface, shape: SkinShape) -> None:
    glimpses, image = Glimpses(surface), picture()
    first = glimpses(image, shape, params_at(), CAMERA)
    assert first is not None and glimpses(image, shape, copied(params_at()), CAMERA) is first
    glimpses.drop()
    assert glimpses(image, shape, params_at(), CAMERA) is not first


def test_another_frame_is_looked_at_anew(surface: SkinSurface, shape: SkinShape) -> None:
    glimpses = Glimpses(surface)
    first = glimpses(picture(), shape, params_at(), CAMERA)
    darker = glimpses((picture() // 2).astype(np.uint8), shape, params_at(), CAMERA)
    assert first is not None and darker is not None
    assert darker.colour.mean() < 0.5 * first.colour.mean()


def test_states_close_by_share_the_averaged_picture(surface: SkinSurface, shape: SkinShape) -> None:
    glimpses, image = Glimpses(surface), picture()
    first = glimpses(image, shape, params_at(), CAMERA)
    near = glimpses(image, shape, params_at(x=0.001), CAMERA)
    far = glimpses(image, shape, params_at(x=0.05), CAMERA)
    assert first is not None and near is not None and far is not None
    assert near.cutout is first.cutout and far.cutout is not first.cutout
    alone = Glimpses(surface)(image, shape, params_at(x=0.001), CAMERA)
    assert alone is not None and np.array_equal(near.index, alone.index)
    assert np.abs(near.colour - alone.colour).mean() < 0.004


def test_what_is_hidden_is_found_anew_when_the_head_turns_or_the_mouth_opens(
    surface: SkinSurface, shape: SkinShape
) -> None:
    glimpses, image = Glimpses(surface), picture()
    first = glimpses(image, shape, params_at(0.5), CAMERA)
    calm = glimpses(image, shape, params_at(0.505), CAMERA)
    turned = glimpses(image, shape, params_at(0.6), CAMERA)
    assert first is not None and calm is not None and turned is not None
    assert calm.seen.hidden is first.seen.hidden
    fresh = surface.see(shape, params_at(0.6), CAMERA)
    assert turned.seen.hidden is not first.seen.hidden
    np.testing.assert_array_equal(turned.seen.visible, fresh.visible)
    opened = params_at(0.6)
    opened.expression[load_face_model().expression_names.index("jawOpen")] = 0.8
    spoken = glimpses(image, shape, opened, CAMERA)
    assert spoken is not None and spoken.seen.hidden is not turned.seen.hidden


def test_nothing_is_shown_of_a_face_outside_the_picture(surface: SkinSurface, shape: SkinShape) -> None:
    assert Glimpses(surface)(picture(), shape, params_at(x=0.6), CAMERA) is None


def test_a_frame_is_taken_in_alike_whether_the_fit_looked_before_or_not() -> None:
    model = load_face_model()
    stage = AppearanceStage(model)
    identity = np.zeros(model.identity_count, np.float32)
    results = []
    for looks in (False, True):
        stage.reset()
        for frame in range(8):
            if looks:
                stage.view(picture(), 1, params_at(), identity, CAMERA)
                image = picture()
                stage.view(image, 1, params_at(), identity, CAMERA)
            else:
                image = picture()
            (face,) = stage.process(image, (face_of(),), CAMERA, frame * FRAME_NS)
        results.append(face)
    assert results[0].light is not None and results[1].light is not None
    np.testing.assert_array_equal(results[0].light.sh, results[1].light.sh)


def test_an_array_that_is_drawn_over_is_read_again() -> None:
    model = load_face_model()
    stage = AppearanceStage(model)
    identity = np.zeros(model.identity_count, np.float32)
    for frame in range(8):
        stage.process(picture(), (face_of(),), CAMERA, frame * FRAME_NS)
    buffer = picture().copy()
    before = stage.view(buffer, 1, params_at(), identity, CAMERA)
    # The face is lost in this frame.
    stage.process(buffer, (), CAMERA, 8 * FRAME_NS)
    buffer[:, :160] //= 3
    after = stage.view(buffer, 1, params_at(), identity, CAMERA)
    assert before is not None and after is not None
    assert np.abs(after.error - before.error).mean() > 0.2


@pytest.mark.parametrize("spacing_px", [1.0, 2.7, 3.98, 4.0, 5.2, 9.3])
def test_the_averaged_picture_lies_where_the_picture_does(spacing_px: float) -> None:
    down, across = np.mgrid[0:120, 0:160]
    ramp = np.stack([across, down, np.full_like(down, 90)], axis=2).astype(np.uint8)
    corners = np.array([[20.0, 120.0, 70.0], [15.0, 100.0, 60.0]], np.float32)
    cutout = cut_out(ramp, corners, spacing_px)
    colour = cutout.read(corners)
    # A pixel's centre is half a pixel from its corner.
    codes = np.searchsorted(LINEAR, colour[:2])
    np.testing.assert_allclose(codes, corners - 0.5, atol=2.0)
    assert cutout.holds(corners, spacing_px * 1.02)
    assert not cutout.holds(corners, spacing_px * 1.2)
    assert not cutout.holds(corners + 40.0, spacing_px)
