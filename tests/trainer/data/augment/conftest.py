from __future__ import annotations

import pytest

from tracker.face_model import FaceModel, load_face_model


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return load_face_model()
