from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.camera import Camera
from tracker.errors import ConfigError
from tracker.face_model.importing.dense_sets import with_dense_sets
from tracker.face_model.store import load_face_model
from trainer.data.batch import Batch, unknown
from trainer.data.stored import StoredStream, store
from trainer.method import Table
from trainer.methods.dense_landmarks import METHOD
from trainer.methods.dense_landmarks.data import LandmarkRows
from trainer.methods.dense_landmarks.fitting import PictureFitter
from trainer.methods.dense_landmarks.plot import calibration_plot
from trainer.methods.dense_landmarks.points import rows_of
from trainer.methods.dense_landmarks.settings import DenseLandmarkSettings
from trainer.metrics.calibration import Calibration
from trainer.networks.dense_landmark_network import _drawn
from trainer.networks.landmark_mesh import builtin_mesh
from trainer.session import export, fit, layered, measure

pytest.importorskip("timm", reason="backbones come from timm (the train extra)")

SIZE = 64


def moved_faces(count: int, seed: int) -> Batch:
    """Crops whose brightness tells where the face is: quick to make, and possible to learn."""
    random = np.random.default_rng(seed)
    shift = random.uniform(-0.15, 0.15, (count, 1, 2)).astype(np.float32)
    batch = unknown(count, 1609, 100, SIZE)
    batch.points[..., :2] = _drawn(builtin_mesh("dense1609")) + 0.5 + torch.as_tensor(shift)
    batch.weight.fill_(1.0)
    batch.rotation[:] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    for image, place in zip(batch.image, shift[:, 0], strict=True):
        x, y = ((place + 0.5) * SIZE).astype(int)
        image[:, y - 8 : y + 8, x - 8 : x + 8] = 1.0
    batch.points[0, 5] = torch.nan
    batch.weight[0, 5] = 0.0
    return batch


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    about = {"landmark_set": "dense1609", "face_model": "builtin", "crop_size": SIZE}
    store([moved_faces(48, 1), moved_faces(48, 2)], folder / "train", about)
    store([moved_faces(20, 3)], folder / "validation", about)
    return folder


def test_stored_crops_come_back_as_they_were(crops: Path) -> None:
    stored = StoredStream(crops / "validation", 8)
    assert stored.length == 3
    parts = [stored.batch(i) for i in range(3)]
    assert [len(part) for part in parts] == [8, 8, 4]
    original = moved_faces(20, 3)
    torch.testing.assert_close(torch.cat([p.points for p in parts]), original.points, equal_nan=True)
    torch.testing.assert_close(torch.cat([p.image for p in parts]), original.image, atol=1 / 255, rtol=0)


def test_each_pass_over_stored_crops_has_all_of_them_in_another_order(crops: Path) -> None:
    stream = StoredStream(crops / "train", 16, seed=3)
    assert stream.length == 6

    def seen(turn: int) -> list[float]:
        return [float(p) for i in range(6) for p in stream.batch(6 * turn + i).points[:, 0, 0]]

    assert seen(0) != seen(1)
    assert sorted(seen(0)) == sorted(seen(1))
    torch.testing.assert_close(stream.batch(9).points, stream.batch(9).points, equal_nan=True)


def test_broken_stores_are_refused_in_one_line(tmp_path: Path, crops: Path) -> None:
    with pytest.raises(ConfigError, match="holds no stored crops"):
        StoredStream(tmp_path, 4)
    with pytest.raises(ConfigError, match="fewer than one batch"):
        StoredStream(crops / "validation", 21)
    with pytest.raises(ConfigError, match="no crops to store"):
        store([], tmp_path, {})


def test_smaller_sets_are_rows_of_the_full_one(crops: Path) -> None:
    full, small = builtin_mesh("dense1609").levels[0], builtin_mesh("dense202").levels[0]
    np.testing.assert_array_equal(full.model_vertices[rows_of("dense202")], small.model_vertices)
    stored = StoredStream(crops / "train", 16, seed=3)
    rows = LandmarkRows(stored, stored.length, "dense202", 32)
    batch = rows.batch(0)
    assert batch.image.shape == (16, 3, 32, 32)
    torch.testing.assert_close(batch.points, stored.batch(0).points[:, rows_of("dense202")], equal_nan=True)


@pytest.mark.parametrize(("loss", "decoder"), [("ngll", "spiral"), ("resll_exp", "linear"), ("resll", "mlp")])
def test_losses_fall_and_unknown_landmarks_do_no_harm(loss: str, decoder: str, crops: Path) -> None:
    torch.manual_seed(0)
    settings = DenseLandmarkSettings.read(
        {"loss": loss, "decoder": decoder, "landmark_set": "dense101", "crop_size": 64, "vertex_edge": 0.1}
    )
    method = METHOD(settings)
    module = method.build().train()
    batch = LandmarkRows(StoredStream(crops / "train", 16, 0), 6, "dense101", 64).batch(0)
    optimiser = torch.optim.Adam(module.parameters(), lr=5e-4)
    values = []
    for _ in range(12):
        optimiser.zero_grad()
        losses = method.step(module, batch)
        losses["loss"].backward()
        optimiser.step()
        values.append(float(losses["loss"].detach()))
    assert set(losses) == {"loss", "likelihood", "edges"}
    assert np.isfinite(values).all()
    assert min(values[-4:]) < values[0] - 0.3


def test_a_run_from_fit_to_onnx(crops: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="exports are checked by ONNX Runtime (the engines extra)")
    sets = [f"method.data.folder={crops}", "machine.threads=1", "loop.steps=4", "loop.evaluate_every=4"]
    wanted = layered("dense_landmarks", "smoke", None, sets)
    run, outcome = fit(wanted, tmp_path / "run")
    assert outcome.step == 4
    table = measure(run)
    assert isinstance(table, Table)
    assert np.isfinite(table.rows["all"]["mlme_px"])
    assert {"mouth", "jaw_line", "0-30 deg"} <= set(table.rows)
    assert "decile" in table.notes[0]
    export(run, tmp_path / "landmarks.onnx")
    assert (tmp_path / "landmarks.onnx").stat().st_size > 1_000_000


@pytest.mark.slow
def test_prepare_renders_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.methods.dense_landmarks.data.cache_dir", lambda *parts: tmp_path.joinpath(*parts))
    sets = ["method.data.train_crops=8", "method.data.validation_crops=8", "method.batch_size=8"]
    method = layered("dense_landmarks", "smoke", None, sets).method
    first = method.prepare()
    assert set(first) == {"train", "validation"} and first["train"] != first["validation"]
    assert method.prepare() == first
    streams = method.streams()
    batch = streams.train.batch(0)
    assert batch.points.shape == (8, 101, 3)
    known = batch.points[..., :2][batch.present > 0.5]
    assert ((known > -0.5) & (known < 1.5)).float().mean() > 0.95


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        DenseLandmarkSettings(crop_size=100)
    with pytest.raises(ConfigError, match="loss must be one of"):
        DenseLandmarkSettings.read({"loss": "l2"})
    for preset in METHOD.presets:
        assert layered("dense_landmarks", preset).method.name == "dense_landmarks"
    with pytest.raises(ConfigError, match="found none"):
        METHOD(DenseLandmarkSettings.read({"data": {"folder": "/nonexistent"}})).prepare()


@pytest.mark.parametrize("turn", [0.0, 0.9, -1.2])
def test_fit_finds_a_head_again(turn: float) -> None:
    model = with_dense_sets(load_face_model(), (1609, 805, 403, 202, 101))
    random = np.random.default_rng(0)
    identity = random.normal(0, 0.7, model.identity_count).astype(np.float32)
    expression = np.zeros(model.expression_count, np.float32)
    expression[model.expression_names.index("jawOpen")] = 0.5
    rotation = np.diag([1.0, -1.0, -1.0]) @ np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    params = model.params_of(expression, np.zeros(3, np.float32), np.zeros(3, np.float32))
    vertices = model.vertices_head(identity, params)
    points = model.landmarks(vertices, "dense202") @ rotation.T + [0.01, -0.02, 0.6]
    camera = Camera.for_image(256, 256, 500.0)
    fitter = PictureFitter(model, "dense202")
    fitted = fitter.fit(camera.project(points).astype(np.float32), np.full(202, 0.5, np.float32), camera)
    found = model.vertices_head(fitted.identity, model.params_of(fitted.expression, np.zeros(3), np.zeros(3)))
    error = np.linalg.norm(
        (found @ fitted.rotation.T - found.mean(0) @ fitted.rotation.T) - (vertices - vertices.mean(0)) @ rotation.T,
        axis=1,
    )
    assert error.mean() < 0.006
    assert np.linalg.norm(fitted.projected - camera.project(points), axis=1).mean() < 0.6


def test_calibration_plot_draws_every_line() -> None:
    one = Calibration(tuple(np.linspace(0.01, 0.05, 10)), tuple(np.linspace(0.02, 0.04, 10)), 0.5)
    picture = calibration_plot({"NGLL": one, "ResLL": one})
    assert picture.shape == (360, 560, 3) and (picture != 255).any()
    with pytest.raises(ValueError, match="at least one calibration"):
        calibration_plot({})
