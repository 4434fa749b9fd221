"""The glance method: its losses, its frozen trunk, its export, and the pair that ``--encoder own`` is made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from tools.build_own_encoder import cut_branch  # noqa: E402
from tracker.networks import ASSETS, is_present  # noqa: E402
from trainer.data.batch import Batch, unknown  # noqa: E402
from trainer.methods import find  # noqa: E402
from trainer.methods.encoder.network import POINTS  # noqa: E402
from trainer.methods.encoder.settings import EncoderSettings  # noqa: E402
from trainer.methods.glance.losses import losses  # noqa: E402
from trainer.methods.glance.measures import Measures  # noqa: E402
from trainer.methods.glance.method import GlanceSettings  # noqa: E402
from trainer.methods.glance.network import Glance, GlanceNetwork  # noqa: E402

_TRUNK = next(asset for asset in ASSETS if asset.file == "face_landmarks_detector.tflite")
needs_trunk = pytest.mark.skipif(
    not is_present(_TRUNK), reason="the networks have not been fetched: tracker models fetch"
)


def _batch() -> Batch:
    """Two faces: a bare one, and one of which half is behind a thing."""
    batch = unknown(2, POINTS + 150, 100, 256)
    batch.visible[:] = 1.0
    batch.visible[1, :239] = 0.0
    batch.rotation[:] = torch.eye(3)
    batch.expression[:], batch.identity[:], batch.light[:] = 0.5, 0.0, 0.3
    return batch


def _perfect(batch: Batch) -> Glance:
    return Glance(
        torch.where(batch.visible[:, :POINTS] == 0.0, 12.0, -12.0),
        batch.rotation.clone(),
        torch.zeros(2, 52),
        batch.identity.clone(),
        batch.light.clone(),
    )


def test_the_truth_has_the_least_loss() -> None:
    batch = _batch()
    best = losses(_perfect(batch), batch)
    assert all(float(value) == pytest.approx(0.0, abs=1e-3) for value in best.values())
    for name, wrong in (
        ("cover", _perfect(batch)._replace(covered=torch.zeros(2, POINTS))),
        ("rotation", _perfect(batch)._replace(rotation=-batch.rotation)),
        ("expression", _perfect(batch)._replace(scores=torch.ones(2, 52))),
        ("identity", _perfect(batch)._replace(identity=batch.identity + 1.0)),
        ("light", _perfect(batch)._replace(light=2.0 * batch.light)),
    ):
        found = losses(wrong, batch)
        assert found[name] > 0.01
        assert found["loss"] > best["loss"]


def test_what_is_unknown_costs_nothing_and_no_face_is_not_covered_either() -> None:
    batch = _batch()
    for label in (batch.rotation, batch.expression, batch.identity, batch.light):
        label[:] = float("nan")
    batch.present[:] = 0.0
    wrong = _perfect(_batch())._replace(covered=torch.zeros(2, POINTS))
    assert all(float(value) == 0.0 for value in losses(wrong, batch).values())


def test_measures_tell_by_how_much_is_covered() -> None:
    batch = _batch()
    measures = Measures()
    measures.add(_perfect(batch), batch)
    rows = measures.rows()
    assert rows["bare"]["count"] == rows["much"]["count"] == 1.0
    assert rows["bare"]["called_covered"] == 0.0
    assert rows["much"]["called_covered"] == 100.0
    assert rows["much"]["share_error"] == pytest.approx(0.0, abs=0.01)


@needs_trunk
def test_the_trunk_does_not_learn_and_is_the_same_by_openvino() -> None:
    torch.manual_seed(0)
    network = GlanceNetwork()
    image = torch.rand(5, 3, 256, 256)
    wanted = network.eval().trunk(image)
    network.trunk.hasten(1)
    found = network.train().trunk(image)
    for quick, slow in zip(found, wanted, strict=True):
        assert torch.allclose(quick, slow, atol=2e-3 * (1.0 + float(slow.abs().max())))
    seen = network(image)
    torch.cat([each.flatten(1) for each in seen], dim=1).square().mean().backward()
    assert all(parameter.grad is None for parameter in network.trunk.parameters())
    learning = [parameter for name, parameter in network.named_parameters() if not name.startswith("trunk.")]
    assert all(parameter.grad is not None for parameter in learning)


@needs_trunk
def test_the_export_and_an_encoder_s_branch_are_one_pass(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from engines import load_engine

    torch.manual_seed(0)
    glance, encoder = find("glance")(GlanceSettings()), find("encoder")(EncoderSettings(blocks=1))
    modules = glance.build().eval(), encoder.build().eval()
    for method, module, name in ((glance, modules[0], "glance.onnx"), (encoder, modules[1], "encoder.onnx")):
        method.export(module, tmp_path / name)
    (tmp_path / "branch.onnx").write_bytes(cut_branch(tmp_path / "encoder.onnx"))
    first = load_engine(tmp_path / "glance.onnx", backend="openvino", precision="fp32")
    second = load_engine(tmp_path / "branch.onnx", backend="openvino", precision="fp32")
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        whole = modules[1](image)
    seen = first.infer(image.permute(0, 2, 3, 1).numpy())
    # An encoder that has not learnt anything yet finds the published landmarks.
    assert np.abs(seen["points"][0] - whole.points[0, :POINTS].numpy()).max() < 0.01
    steady = second.infer(seen["stem"])
    assert np.abs(steady["points"] - whole.points.numpy()).max() < 0.01
    assert np.abs(steady["log_sigma"] - whole.log_sigma.numpy()).max() < 0.05


def test_a_file_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [onnx.helper.make_tensor_value_info("y", 1, [1])])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "other.onnx"))
    with pytest.raises(ValueError, match="no output 'stem'"):
        cut_branch(tmp_path / "other.onnx")


@needs_trunk
def test_signals_are_still_handled_when_the_network_has_gone() -> None:
    """OpenVINO hangs an alternate signal stack on the thread, which must not go with the network that was run by it."""
    code = """
import gc, signal, subprocess, torch
from trainer.networks.published import PublishedNetwork
network = PublishedNetwork()
network.hasten(1)
network.train()(torch.zeros(1, 3, 256, 256))
del network
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: None)
subprocess.run(["true"])
print("alive")
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.stdout == "alive\n", ended.stderr
