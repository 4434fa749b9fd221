from __future__ import annotations

from pathlib import Path

import pytest

from tracker.detection import FaceDetector
from tracker.landmarks import LandmarkEncoder, create_encoder


@pytest.fixture(scope="session")
def encoder(networks: Path) -> LandmarkEncoder:
    return create_encoder("mediapipe")


@pytest.fixture(scope="session")
def detector(networks: Path) -> FaceDetector:
    return FaceDetector()
