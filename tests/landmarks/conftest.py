from __future__ import annotations

from pathlib import Path

import pytest

from tracker.landmarks import LandmarkEncoder, create_encoder


@pytest.fixture(scope="session")
def encoder(networks: Path) -> LandmarkEncoder:
    return create_encoder("mediapipe")


@pytest.fixture(scope="session")
def own_encoder(networks: Path) -> LandmarkEncoder:
    return create_encoder("own")


@pytest.fixture(scope="session")
def light_encoder(networks: Path) -> LandmarkEncoder:
    return create_encoder("light")
