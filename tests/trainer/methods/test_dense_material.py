"""What dense landmarks learn from besides rendered heads of the built-in model: real crops, and landmarks of other models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")
pytest.importorskip("timm", reason="backbones come from timm (the train extra)")
pytest.importorskip("scipy", reason="face models are compared with scipy (the import extra)")

from tools.structured_models.flame_model import flame_face_model  # noqa: E402
from tracker.camera import Camera  # noqa: E402
from tracker.errors import ConfigError, FaceModelError  # noqa: E402
from tracker.face_model import Embedding, FaceModel, load_face_model  # noqa: E402
from tracker.face_model.head_points import with_landmarks  # noqa: E402
from tracker.face_model.importing.registration.surface import Surface  # noqa: E402
from tracker.face_model.writing import write_face_model  # noqa: E402
from trainer.data.stored import StoredStream, store  # noqa: E402
from trainer.data.video import shard as shards  # noqa: E402
from trainer.data.video.shard import REACH, STORED_PX, Shard, nothing_known  # noqa: E402
from trainer.methods.dense_landmarks import METHOD  # noqa: E402
from trainer.methods.dense_landmarks.data import InTurn, LandmarkRows  # noqa: E402
from trainer.methods.dense_landmarks.measures import Predicted, measure  # noqa: E402
from trainer.methods.dense_landmarks.points import between, mesh_of  # noqa: E402
from trainer.methods.dense_landmarks.real import RealCrops  # noqa: E402
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings  # noqa: E402
from trainer.session import layered  # noqa: E402

SIZE = 64
FOCAL = 2.0


def _shard(people: list[str], without_fit: int | None = None) -> Shard:
    """Relaxed heads that look into the camera, a little beside the crop's centre."""
    count = len(people)
    known = nothing_known(count)
    known["rotation"][:] = np.diag([1.0, -1.0, -1.0])
    known["translation"][:] = (0.01, -0.02, 0.9)
    known["focal"][:] = FOCAL
    known["identity"][:] = np.random.default_rng(0).normal(0.0, 0.5, known["identity"].shape)
    known["expression"][:] = 0.0
    known["residual"][:] = 0.002
    if without_fit is not None:
        known["rotation"][without_fit] = np.nan
    names = np.array([f"{name}.mp4#{row}" for row, name in enumerate(people)])
    return Shard(
        np.full((count, STORED_PX, STORED_PX, 3), 90, np.uint8), person=np.array(people), source=names, **known
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of three people to learn from, one of whom was filmed a lot, and of one held out."""
    place = tmp_path_factory.mktemp("shards")
    shards.write(place, "clip", _shard(["a"] * 9 + ["b"], without_fit=3))
    shards.write(place, "other", _shard(["c", "female", "female"]))
    return place


@pytest.fixture(scope="module")
def rendered(folder: Path) -> Path:
    """Stored crops that a renderer could have made."""
    place = folder / "stored"
    about = {"landmark_set": "dense1609", "face_model": "builtin", "crop_size": SIZE}
    crops = RealCrops(folder, False, 8, SIZE, 0)
    for part in ("train", "validation"):
        batch = crops.batch(0)
        store(
            [replace(batch, source=("synthetic",) * 8), replace(batch, source=("synthetic",) * 8)], place / part, about
        )
    return place


def test_labels_are_the_fitted_head_where_the_camera_sees_it(folder: Path) -> None:
    batch = RealCrops(folder, True, 4, 96).batch(0)
    assert len(batch) == 2
    assert batch.source == ("real:female.mp4#1", "real:female.mp4#2")
    model = with_landmarks(load_face_model(), "dense1609")
    head = model.vertices_head(batch.identity[0].numpy(), model.neutral_params())
    points = model.landmarks(head, "dense1609") * [1.0, -1.0, -1.0] + [0.01, -0.02, 0.9]
    # The stored crop is one of 320 pixels; ours is its middle.
    seen = Camera.for_image(STORED_PX, STORED_PX, FOCAL * STORED_PX).project(points) / STORED_PX
    expected = (seen - 0.5) * REACH + 0.5
    np.testing.assert_allclose(batch.points[0, :, :2].numpy(), expected, atol=0.01)
    assert float(batch.focal[0]) == pytest.approx(FOCAL * REACH, rel=0.01)
    # Exactly, for the crop's own camera.
    own = Camera.for_image(1, 1, float(batch.focal[0])).project(points)
    np.testing.assert_allclose(batch.points[0, :, :2].numpy(), own, atol=1e-5)
    assert 0.5 < float(batch.weight[0].max()) < 1.0


def test_training_never_sees_people_who_are_held_out_nor_crops_without_a_fit(folder: Path) -> None:
    crops = RealCrops(folder, False, 40, SIZE, seed=1)
    assert crops.crops == 10
    seen = [name for index in range(4) for name in crops.batch(index).source]
    assert "real:clip.mp4#3" not in seen and "real:a.mp4#3" not in seen
    assert not any("female" in name for name in seen)
    # Whoever was filmed a lot comes no more often than others.
    assert 0.2 < np.mean([name.startswith("real:a.") for name in seen]) < 0.47
    torch.testing.assert_close(crops.batch(2).points, crops.batch(2).points)


def test_shards_without_fits_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"to learn from with a fitted head .* found none: trainer prepare encoder"):
        RealCrops(tmp_path, False, 4, SIZE)
    shards.write(tmp_path, "clip", _shard(["a"]))
    with pytest.raises(ConfigError, match="of held-out people"):
        RealCrops(tmp_path, True, 4, SIZE)


@pytest.mark.parametrize(("share", "real"), [(0.25, 4), (1.0, 16), (0.0, 0)])
def test_a_share_of_each_batch_is_real_and_both_kinds_are_measured(
    share: float, real: int, folder: Path, rendered: Path
) -> None:
    sets = [f"method.data.shards={folder}", f"method.data.folder={rendered}", f"method.data.real_share={share}"]
    sets += ["method.data.stored_px=96"]  # what is stored counts
    method = layered("dense_landmarks", "smoke", None, sets).method
    assert {"shards", "validation"} <= set(method.prepare())
    streams = method.streams()
    batch = streams.train.batch(0)
    assert len(batch) == 16
    assert sum(name.startswith("real:") for name in batch.source) == real
    assert batch.points.shape == (16, 101, 3)
    assert streams.validation.length == 2
    batches = list(streams.validation)
    assert [len(b) for b in batches] == [16, 2]
    truth = torch.cat([b.points[..., :2] for b in batches])
    kinds = tuple(name for b in batches for name in b.source)
    rotation = torch.cat([b.rotation for b in batches])
    off = truth + torch.where(torch.tensor([k == "synthetic" for k in kinds])[:, None, None], 0.01, 0.03)
    rows, _ = measure(Predicted(off, torch.full_like(off, 0.02), truth, rotation, kinds), {})
    assert rows["synthetic"]["mlme_px"] == pytest.approx(0.01 * 2**0.5 * 256, rel=1e-3)
    assert rows["real"]["mlme_px"] == pytest.approx(0.03 * 2**0.5 * 256, rel=1e-3)
    assert rows["synthetic"]["sigma_ratio"] == pytest.approx(2.0, rel=1e-3)


def test_two_streams_in_turn_need_ends(rendered: Path) -> None:
    stored = StoredStream(rendered / "train", 4)
    endless = LandmarkRows(stored, None, "dense101", SIZE)
    with pytest.raises(ValueError, match="streams that end"):
        InTurn(stored, endless)


@pytest.fixture(scope="module")
def flame(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    """A FLAME-structured head with the built-in head's dense landmarks on it, as importing leaves it."""
    head, model = with_landmarks(load_face_model(), "dense1609"), flame_face_model()
    found = Surface(model.template, model.faces).nearest(head.landmarks(head.template, "dense1609"))
    embedding = Embedding(found.faces.astype(np.int32), found.barycentric.astype(np.float32), np.ones(1609, np.float32))
    return replace(model, embeddings={**model.embeddings, "dense1609": embedding})


def _with_library(monkeypatch: pytest.MonkeyPatch, folder: Path, model: FaceModel, name: str) -> None:
    monkeypatch.setenv("TRACKER_DATA", str(folder))
    write_face_model(folder / "face_models" / f"{name}.npz", model)


def test_landmarks_of_another_model_lie_on_its_own_vertices(
    flame: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "face_models").mkdir()
    _with_library(monkeypatch, tmp_path, flame, "flame-a")
    mesh, places = mesh_of("flame-a", "dense202"), between("flame-a", "dense202")
    own = mesh.levels[0].model_vertices
    assert len(own) == 202
    head = with_landmarks(load_face_model(), "dense1609")
    labels = places.points(torch.as_tensor(head.landmarks(head.template, "dense1609"))[None].float())[0]
    apart = np.linalg.norm(labels.numpy() - flame.template[own], axis=1)
    assert np.isfinite(apart).mean() > 0.95
    assert np.nanmean(apart) < 5e-4 and np.nanmax(apart) < 4e-3
    with pytest.raises(FaceModelError, match="unknown face model"):
        mesh_of("nobody", "dense202")


def test_a_network_for_another_model_is_trained_and_says_whose_points_it_gives(
    flame: FaceModel, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "face_models").mkdir()
    _with_library(monkeypatch, tmp_path, flame, "flame-b")
    values = {"face_model": "flame-b", "landmark_set": "dense101", "crop_size": 64, "batch_size": 8, "loss": "ngll"}
    method = METHOD(DenseLandmarkSettings.read(values | {"data": {"folder": str(rendered)}}))
    module, batch = method.build(), method.streams().train.batch(0)
    assert batch.points.shape == (8, 101, 3)
    assert torch.isfinite(method.step(module.train(), batch)["loss"])
    assert {"mouth", "nose"} <= set(method.regions())
    _, header = method.deployed(module)
    # Not "dense101", which a tracker takes for the built-in head's points.
    assert (header.face_model, header.landmark_set) == ("flame-b", "flame-b/dense101")


def test_a_model_without_the_built_in_landmarks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "face_models").mkdir()
    _with_library(monkeypatch, tmp_path, flame_face_model(), "flame-c")
    with pytest.raises(FaceModelError, match="import it again"):
        between("flame-c", "dense101")
