from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")
pytest.importorskip("scipy", reason="the trainer needs scipy: pip install 'facestream-tracker[train]'")

from tracker.face_model import FaceModel, load_face_model


@pytest.fixture(scope="session")
def model() -> FaceModel:
    return load_face_model()
