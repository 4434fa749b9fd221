"""The appearance stage on rendered faces."""

from __future__ import annotations

import numpy as np
import pytest

from tests.appearance.faces import CAMERA, face_of, lit_picture
from tracker.appearance import AppearanceStage
from tracker.face_model import load_face_model


@pytest.fixture(scope="module")
def stage() -> AppearanceStage:
    return AppearanceStage(load_face_model())


def test_a_first_frame_has_light_and_skin_and_nothing_covered(stage: AppearanceStage) -> None:
    stage.reset()
    sh = np.zeros((9, 3), np.float32)
    sh[0] = 2.0
    sh[2] = -0.5
    (face,) = stage.process(lit_picture(sh), (face_of(),), CAMERA, 0)
    assert face.light is not None and face.occlusion is not None and face.albedo is not None
    assert face.light.sh.shape == (9, 3)
    assert 0.2 < face.light.exposure < 2.0
    assert face.occlusion.fraction < 0.05
    assert face.albedo.points.shape == (stage.points.count, 3)
    assert face.albedo.version == 1


def test_a_black_picture_says_nothing(stage: AppearanceStage) -> None:
    stage.reset()
    black = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    (face,) = stage.process(black, (face_of(),), CAMERA, 0)
    assert face.light is None and face.occlusion is None and face.albedo is None
