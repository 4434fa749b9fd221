from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import BatchProfile, EngineError, InputHeader, NetworkHeader, OutputHeader, load_engine
from engines.accuracy import deviations, run_rows
from engines.artifact import read_header
from engines.build import BuildOptions
from engines.model import read_model
from engines.quantise import AccuracyError, Limits, quantise
from engines.workbench import Workbench
from tests.engines.toy import HEADER, crops, ready

pytest.importorskip("onnxruntime", reason="quantising needs onnxruntime")


def test_one_qdq_network_serves_the_backends(toy: Path, known: str) -> None:
    bench = Workbench(known, rows=30, limits=Limits(mean_px=0.5))
    made = {}
    for name in ("onnxruntime", "openvino"):
        pytest.importorskip(name)
        path = bench.build(BuildOptions(name, "int8", BatchProfile(1, 4, 8)))
        header = read_header(path)
        assert header.precision == "int8" and header.notes["calibration_rows"] == 20
        assert {entry["what"] for entry in header.notes["gate"]} == {"upper", "lower", "presence"}
        made[name] = load_engine(path).infer(ready(4))["points"].copy()
    exact = load_engine(toy, "onnxruntime").infer(ready(4)[:1])["points"]
    # Quantised, and yet close.
    assert 0 < np.abs(made["onnxruntime"][:1] - exact).max() < 1
    assert np.abs(made["onnxruntime"] - made["openvino"]).max() < 0.2


def test_weights_and_activations_are_signed_and_the_heads_stay_in_float(toy: Path) -> None:
    onnx = pytest.importorskip("onnx")
    content = quantise(read_model(toy), {"image": ready(12)}, Limits(99, 99)).model
    graph = onnx.load_from_string(content).graph
    kinds = {t.name: t.data_type for t in graph.initializer}
    zeros = [kinds[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear" and len(n.input) > 2]
    assert zeros and set(zeros) == {onnx.TensorProto.INT8}
    maker = {output: node.op_type for node in graph.node for output in node.output}
    heads = [node for node in graph.node if node.op_type == "MatMul"]
    assert len(heads) == 2
    assert all(maker.get(name) != "DequantizeLinear" for node in heads for name in node.input)


def test_a_bad_engine_is_refused_with_a_table(toy: Path) -> None:
    with pytest.raises(AccuracyError, match=r"int8 is too far from fp32 \(.*px.*allowed 1e-06 px") as caught:
        quantise(read_model(toy), {"image": ready(12)}, Limits(mean_px=1e-6), name="toy")
    assert str(caught.value).startswith("toy: ") and "\n" not in str(caught.value)
    assert [found.what for found in caught.value.table] == ["upper", "lower", "presence"]
    assert all(0 < found.mean <= found.p95 <= found.worst for found in caught.value.table if found.unit == "px")


def test_deviations_are_pixels_of_the_crop_by_region() -> None:
    expected = {"points": np.zeros((2, 12), np.float32), "presence": np.float32([[0], [2]])}
    moved = expected["points"].reshape(2, 6, 2).copy()
    moved[:, :3] += (3, 4)
    upper, lower, presence = deviations(HEADER, expected, {"a": moved.reshape(2, 12), "b": np.float32([[0], [3]])})
    assert (upper.what, upper.unit, upper.mean, upper.worst) == ("upper", "px", 5.0, 5.0)
    assert (lower.what, lower.mean) == ("lower", 0.0)
    assert (presence.unit, presence.worst) == ("relative", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("given", "side"), [(InputHeader("x", "crop", "NHWC", 192), 192), (InputHeader("x", "other", "NCHW"), 256)]
)
def test_fractions_are_of_the_crop_even_when_the_network_does_not_see_it(given: InputHeader, side: int) -> None:
    network = NetworkHeader("x", inputs=(given,), outputs=(OutputHeader("points", "points", "fraction"),))
    reference = {"points": np.full((2, 4, 3), 0.5, np.float32)}
    moved = {"points": reference["points"] + np.float32([0.01, 0, 0])}
    (found,) = deviations(network, reference, moved)
    assert (found.what, found.unit) == ("landmarks", "px")
    assert found.mean == pytest.approx(0.01 * side, rel=1e-4)


def test_rows_that_do_not_fill_a_batch_are_run_too(toy: Path) -> None:
    bench = Workbench(str(toy))
    exact = run_rows(bench.engine("onnxruntime", "fp32", BatchProfile()), {"image": ready(7)})
    for batch in (BatchProfile(3, 3, 3), BatchProfile(2, 2, 4)):
        got = run_rows(bench.engine("onnxruntime", "fp32", batch), {"image": ready(7)})
        assert got["points"].shape == (7, 12)
        assert np.allclose(got["points"], exact["points"], atol=1e-5)


def test_calibration_files(toy: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "crops.npz", crops=crops(9))
    np.savez(tmp_path / "ready.npz", image=ready(9))
    first = Workbench(str(toy), calibrate=tmp_path / "crops.npz").inputs["image"]
    second = Workbench(str(toy), calibrate=tmp_path / "ready.npz").inputs["image"]
    assert first.shape == (9, 3, 16, 16) and np.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (None, "does not exist"),
        (b"no zip", "is no .npz file"),
        ({"picture": np.zeros(3)}, "must hold the arrays image or crops, got picture"),
        (
            {"image": np.zeros((9, 3, 8, 8), np.float32)},
            r"input image takes rows of shape \(3, 16, 16\), got \(3, 8, 8\)",
        ),
        ({"crops": np.zeros((4, 16, 16, 3), np.uint8)}, "int8 needs at least 6 crops to calibrate with, got 4"),
        ({"crops": np.zeros((0, 16, 16, 3), np.uint8)}, r"\(0 rows\)"),
    ],
)
def test_calibration_files_that_do_not_fit(toy: Path, tmp_path: Path, arrays: object, message: str) -> None:
    file = tmp_path / "crops.npz"
    if isinstance(arrays, bytes):
        file.write_bytes(arrays)
    elif isinstance(arrays, dict):
        np.savez(file, **arrays)
    bench = Workbench(str(toy), calibrate=file)
    with pytest.raises(EngineError, match=message) as caught:
        bench.build(BuildOptions("onnxruntime", "int8"))
    assert "\n" not in str(caught.value)


def test_without_a_header_or_a_catalogue_a_file_is_asked_for(
    toy: Path, tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines import catalogue
    from tests.engines.toy import toy_network

    bare = Workbench(str(toy_network(tmp_path / "bare.onnx", header=None)))
    with pytest.raises(EngineError, match=r"give --calibrate FILE.npz with the arrays image"):
        _ = bare.inputs
    monkeypatch.setattr(catalogue, "catalogues", list)
    with pytest.raises(EngineError, match=r"nobody here has pictures of faces; give --calibrate"):
        _ = Workbench(str(toy)).inputs


def test_other_crops_or_another_limit_make_another_engine(toy: Path, tmp_path: Path) -> None:
    def built(seed: int, rows: int = 30, limit: float = 5.0, name: str = "crops.npz") -> Path:
        np.savez(tmp_path / name, crops=crops(30, seed))
        bench = Workbench(str(toy), calibrate=tmp_path / name, rows=rows, limits=Limits(mean_px=limit))
        return bench.build(BuildOptions("onnxruntime", "int8"))

    first = built(0)
    made_at = first.stat().st_mtime_ns
    header = read_header(first)
    assert header.command.endswith(f"--calibrate {tmp_path / 'crops.npz'} --rows 30 --max-deviation 5")
    assert first.name.endswith(f"{header.key()}.engine")
    assert built(0, name="again.npz") == first and first.stat().st_mtime_ns == made_at
    others = {built(1), built(0, rows=24), built(0, limit=4.0)}
    assert len(others) == 3 and first not in others
    with pytest.raises(EngineError, match=r"^calibration file .*none.npz does not exist$"):
        Workbench(str(toy), calibrate=tmp_path / "none.npz").build(BuildOptions("onnxruntime", "int8"))


def test_a_strict_limit_is_not_answered_with_a_lenient_engine(known: str) -> None:
    Workbench(known, rows=30).build(BuildOptions("onnxruntime", "int8"))
    with pytest.raises(AccuracyError, match="int8 is too far"):
        Workbench(known, rows=30, limits=Limits(mean_px=1e-6)).build(BuildOptions("onnxruntime", "int8"))
