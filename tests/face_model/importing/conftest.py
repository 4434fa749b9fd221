"""What several tests look at: a stranger, registered once, and files of foreign models' structure, written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.stranger import Stranger
from tools.structured_models.flame_files import write_flame, write_flame_landmarks
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


@pytest.fixture(scope="session")
def flame_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLAME 2020 with chumpy objects, 2023 Open without, its npz form, and the embeddings beside 2020."""
    folder = tmp_path_factory.mktemp("flame")
    write_flame(folder, "2020")
    write_flame(folder, "2023 Open")
    write_flame(folder, "2023", npz=True)
    write_flame_landmarks(folder / "FLAME2020")
    return folder


@pytest.fixture(scope="session")
def flame_pkl(flame_folder: Path) -> Path:
    return flame_folder / "FLAME2020" / "generic_model.pkl"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty library of face models."""
    monkeypatch.setenv("TRACKER_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "face_models"
