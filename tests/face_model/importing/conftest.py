"""A stranger, registered once for all tests that look at the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.stranger import Stranger
from tracker.face_model import FaceModel, load_face_model


@pytest.fixture(scope="session")
def head() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="session")
def stranger(head: FaceModel) -> Stranger:
    rng = np.random.default_rng(3)
    shape = head.neutral_vertices(rng.standard_normal(head.identity_count).astype(np.float32)).astype(np.float64)
    order = rng.permutation(head.vertex_count)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    moved = 100.0 * shape[order] + [3.0, -7.0, 11.0]
    return Stranger(moved, number[head.faces].astype(np.int32), order, shape)


@pytest.fixture(scope="session")
def registered(stranger: Stranger, networks: Path):
    pytest.importorskip("scipy", reason="registration needs scipy")
    from tracker.face_model.importing.registration import register

    return register(stranger.vertices, stranger.faces)
