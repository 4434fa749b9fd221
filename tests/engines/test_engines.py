from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines import Engine, EngineError, load, load_engine
from engines import backend as backend_table

NETWORK = "face_blendshapes.tflite"


@pytest.fixture(scope="module")
def path(networks: Path) -> Path:
    return networks / NETWORK


@pytest.fixture(scope="module")
def engine(path: Path) -> Engine:
    pytest.importorskip("openvino")
    return load_engine(path, backend="openvino", precision="f32")


def points(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 146, 2)).astype(np.float32)


def test_knows_its_shapes(engine: Engine) -> None:
    assert [spec.shape for spec in engine.inputs] == [(1, 146, 2)]
    assert [spec.shape for spec in engine.outputs] == [(52,)]
    assert engine.describe().startswith(f"{NETWORK} on openvino (fp32): ")


def test_filling_the_buffers_gives_what_infer_gives(engine: Engine) -> None:
    first = engine.infer(points(0))["StatefulPartitionedCall:0"].copy()
    second = engine.infer(points(1))["StatefulPartitionedCall:0"].copy()
    assert not np.allclose(first, second)
    (buffer,) = engine.buffers.values()
    np.copyto(buffer, points(0))
    (again,) = engine.run()
    assert np.array_equal(again, first)


def test_an_input_may_be_given_by_name_in_another_float_type(engine: Engine) -> None:
    expected = engine.infer(points())["StatefulPartitionedCall:0"].copy()
    given = engine.infer({engine.inputs[0].name: points().astype(np.float64)})["StatefulPartitionedCall:0"]
    assert np.array_equal(given, expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((1, 145, 2), np.float32), r"must have shape \(1, 146, 2\), got \(1, 145, 2\)"),
        (np.zeros((146, 2), np.float32), r"must have shape \(1, 146, 2\), got \(146, 2\)"),
        (np.zeros((1, 146, 2), np.complex64), "must be float32, got complex64"),
        ({"nobody": np.zeros((1, 146, 2), np.float32)}, "takes the inputs .*float32.*, got nobody"),
        ({}, "got none"),
    ],
)
def test_wrong_inputs_are_named(engine: Engine, inputs: object, message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        engine.infer(inputs)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["litert"])
def test_backends_agree(engine: Engine, path: Path, backend: str) -> None:
    pytest.importorskip("ai_edge_litert")
    other = load_engine(path, backend=backend)  # type: ignore[arg-type]
    (ours,) = engine.infer(points()).values()
    (theirs,) = other.infer(points()).values()
    assert np.allclose(ours, theirs, atol=1e-3)


def test_onnx_runs_on_each_backend_that_reads_it(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Mul", ["x", "x"], ["y"])
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "square", [x], [y]), opset_imports=[onnx.helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.save(model, str(tmp_path / "square.onnx"))
    ran = 0
    for backend in ("openvino", "onnxruntime"):
        if backend_table.installed(backend):
            engine = load_engine(tmp_path / "square.onnx", backend=backend, precision="f32")  # type: ignore[arg-type]
            assert engine.infer(np.float32([[1, 2, 3]]))["y"].tolist() == [[1, 4, 9]]
            ran += 1
    assert ran


def test_compiled_networks_are_cached_and_survive_damage(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    cache = tmp_path / "cache"
    (expected,) = load_engine(path, "openvino", "f32", cache_dir=cache).infer(points()).values()
    (blob,) = cache.glob("*.blob")
    compiled_at = blob.stat().st_mtime_ns
    (cached,) = load_engine(path, "openvino", "f32", cache_dir=cache).infer(points()).values()
    assert blob.stat().st_mtime_ns == compiled_at
    assert np.array_equal(cached, expected)
    blob.write_bytes(blob.read_bytes()[:1000])
    (recompiled,) = load_engine(path, "openvino", "f32", cache_dir=cache).infer(points()).values()
    assert np.array_equal(recompiled, expected)
    assert blob.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_is_no_error(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").write_text("in the way")
    load_engine(path, "openvino", "f32", cache_dir=tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.tflite", b"not a network", "is not a network"),
        ("empty.onnx", b"", "is not a network"),
        ("weights.pt", b"x", r"must be \.tflite or \.onnx files, got \.pt"),
        ("nameless", b"x", "got no suffix"),
    ],
)
def test_files_that_are_no_networks(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineError, match=message) as caught:
        load_engine(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not exist"):
        load_engine(tmp_path / "nothing.tflite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"backend": "tensorflow"},
            "backend must be auto, openvino, litert, onnxruntime, tensorrt, torch, got 'tensorflow'",
        ),
        ({"backend": "onnxruntime"}, "does not read .tflite files; use openvino or litert"),
        ({"precision": "f8"}, "precision must be one of fp32, fp16, bf16, int8, got 'f8'"),
        ({"precision": "int8"}, "loaded in fp32 or bf16; for int8 run: engines build some.tflite --precision int8"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_unknown_options_are_named(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    path = tmp_path / "some.tflite"
    path.write_bytes(b"x")
    with pytest.raises(EngineError, match=message):
        load_engine(path, **arguments)  # type: ignore[arg-type]


def test_a_backend_that_is_not_installed_comes_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.tflite"
    path.write_bytes(b"x")
    monkeypatch.setattr(backend_table, "installed", lambda name: False)
    monkeypatch.setattr(load, "installed", lambda name: False)
    with pytest.raises(EngineError, match="pip install ai-edge-litert"):
        load_engine(path, backend="litert")
    with pytest.raises(EngineError, match="needs one of openvino, litert; install one: pip install openvino"):
        load_engine(path)


def test_a_cpu_held_to_avx2_runs_in_f32(networks: Path) -> None:
    pytest.importorskip("openvino")
    path = networks / "face_detector.tflite"
    code = (
        "from engines import load_engine; "
        f"engine = load_engine({str(path)!r}, 'openvino'); engine.run(); print(engine.precision)"
    )
    capped = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=capped)
    assert done.stdout.strip() == "fp32"


def test_engines_can_be_made_on_several_threads_at_once(path: Path) -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor; from engines import load_engine; "
        "pool = ThreadPoolExecutor(4); "
        f"made = [pool.submit(load_engine, {str(path)!r}, 'openvino', 'f32') for _ in range(4)]; "
        "print(len({engine.result().describe() for engine in made}), 'openvino.tools.ovc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 False"


def test_nothing_can_be_reported_home(path: Path) -> None:
    """OpenVINO's usage reporting is not even imported, in a process that compiles and runs a network."""
    pytest.importorskip("openvino")
    code = (
        "import sys, numpy; from engines import load_engine; "
        f"load_engine({str(path)!r}, 'openvino', 'f32').infer(numpy.zeros((1, 146, 2), numpy.float32)); "
        "print([name for name in sys.modules if 'telemetry' in name or name.startswith('openvino.tools')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
