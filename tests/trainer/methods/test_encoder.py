"""The encoder method: its losses, what it starts from, its export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from tracker.errors import ConfigError  # noqa: E402
from tracker.networks import ASSETS, is_present  # noqa: E402
from trainer.data.batch import Batch, unknown  # noqa: E402
from trainer.errors import CheckpointError  # noqa: E402
from trainer.methods import find  # noqa: E402
from trainer.methods.encoder.losses import losses  # noqa: E402
from trainer.methods.encoder.measures import Measures  # noqa: E402
from trainer.methods.encoder.network import POINTS, EncoderNetwork, Seen  # noqa: E402
from trainer.methods.encoder.settings import EncoderSettings  # noqa: E402

_TRUNK = next(asset for asset in ASSETS if asset.file == "face_landmarks_detector.tflite")
needs_trunk = pytest.mark.skipif(
    not is_present(_TRUNK), reason="the networks have not been fetched: tracker models fetch"
)


def _batch(count: int = 2) -> Batch:
    batch = unknown(count, POINTS + 150, 100, 256)
    generator = torch.Generator().manual_seed(0)
    batch.points[:] = torch.rand(batch.points.shape, generator=generator) * 0.3 + 0.35
    batch.weight[:], batch.visible[:] = 0.5, 1.0
    batch.rotation[:] = torch.eye(3)
    return batch


def _perfect(batch: Batch) -> Seen:
    count = len(batch)
    return Seen(
        batch.points.clone(),
        torch.full((count, POINTS + 150), float(np.log(0.01))),
        torch.full((count, POINTS + 150), 12.0),
        torch.full((count, 1), 12.0),
        batch.rotation.clone(),
    )


def test_the_truth_has_the_least_loss() -> None:
    batch = _batch()
    best = losses(_perfect(batch), batch)
    assert all(float(best[name]) == pytest.approx(0.0, abs=1e-3) for name in ("place", "common", "relations", "depth"))
    shifted = _perfect(batch)._replace(points=batch.points + torch.tensor([0.02, 0.0, 0.0]))
    worse = losses(shifted, batch)
    assert worse["common"] > 5.0
    assert worse["relations"] == pytest.approx(0.0, abs=1e-3)
    assert worse["loss"] > best["loss"]


@pytest.mark.parametrize("log_scale", [-0.7, 0.7])
def test_sigma_is_best_where_it_is_the_error(log_scale: float) -> None:
    batch = _batch()
    noise = torch.randn(batch.points.shape, generator=torch.Generator().manual_seed(1)) * 0.01
    noise[..., 2] = 0.0
    seen = _perfect(batch)._replace(points=batch.points + noise)
    # The label itself is off by 0.01, too.
    right = seen._replace(log_sigma=torch.full_like(seen.log_sigma, float(np.log(0.01 * 2**0.5))))
    off = seen._replace(log_sigma=right.log_sigma + log_scale)
    assert losses(right, batch)["likelihood"] < losses(off, batch)["likelihood"]


def test_what_is_unknown_costs_nothing() -> None:
    batch = _batch()
    seen = _perfect(batch)
    batch.points[0] = float("nan")
    batch.weight[0] = 0.0
    batch.visible[:] = float("nan")
    batch.rotation[:] = float("nan")
    found = losses(seen._replace(visibility=-seen.visibility), batch)
    assert all(torch.isfinite(value) for value in found.values())
    assert float(found["sight"]) == float(found["rotation"]) == 0.0


def test_measures_tell_covered_faces_from_bare_ones() -> None:
    batch = _batch()
    batch.visible[1, :240] = 0.0
    seen = _perfect(batch)._replace(points=batch.points + torch.tensor([0.01, 0.0, 0.0]))
    measures = Measures()
    measures.add(seen, batch)
    rows = measures.rows()
    apart = float((batch.points[1, 33, :2] - batch.points[1, 263, :2]).norm())
    assert rows["covered"]["hidden"] == pytest.approx(1.0 / apart, rel=1e-3)
    assert rows["covered"]["common_shift"] == pytest.approx(1.0 / apart, rel=1e-3)
    assert "hidden" not in rows["bare"]
    assert rows["all"]["presence"] == 100.0


@needs_trunk
def test_it_starts_with_the_published_network_s_landmarks() -> None:
    torch.manual_seed(0)
    network = EncoderNetwork(150, blocks=1).eval()
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        seen = network(image)
        (published, *_), _ = network.trunk.outputs_and_features(image)
    assert torch.allclose(seen.points[0, :POINTS] * 256.0, published.reshape(POINTS, 3), atol=1e-3)
    assert torch.allclose(seen.rotation @ seen.rotation.transpose(1, 2), torch.eye(3), atol=1e-4)


@needs_trunk
def test_the_export_keeps_its_answers_at_half_the_size(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from engines import load_engine
    from engines.model import read_model

    torch.manual_seed(0)
    method = find("encoder")(EncoderSettings(blocks=1))
    module = method.build().eval()
    path = tmp_path / "own.onnx"
    method.export(module, path)
    # The published network's later stages come along.
    weights = sum(p.numel() for part in (module, module.trunk) for p in part.parameters())
    assert path.stat().st_size < 2.4 * weights
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        wanted = module(image).points[0].numpy()
    engine = load_engine(path, backend="openvino", precision="fp32")
    next(iter(engine.buffers.values()))[:] = image.numpy()
    found = dict(zip((spec.name for spec in engine.outputs), engine.run(), strict=True))
    assert np.abs(found["points"][0] - wanted).max() < 0.01
    header = read_model(path).network
    assert header is not None
    assert header.landmark_set == "head628"


@needs_trunk
def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError):
        find("encoder")(EncoderSettings(start=str(path))).build()


def test_without_material_there_is_one_line(tmp_path: Path) -> None:
    method = find("encoder")(EncoderSettings(shards=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"trainer prepare encoder"):
        method.streams()
