"""TensorRT's own builder compiles networks here; it needs no GPU for that."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import EngineError, load_engine
from engines.artifact import ArtifactHeader, read_artifact
from engines.batch import BatchProfile
from engines.build import BuildOptions, build_artifact
from engines.cache import sha256_of
from engines.cli import main
from engines.cuda.gpu import Gpu, find_gpu
from engines.tensorrt_backend import weights_of
from engines.tensorrt_build import BuildRequest, build_plan
from engines.tensorrt_module import TensorRt, failure, tensorrt_module
from engines.tflite.convert import convert
from tests.engines.networks import small_network, unsupported_network
from tests.engines.toy import crops
from tracker.errors import NetworkAssetError
from tracker.networks.assets import BY_FILE
from tracker.networks.store import locate

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (extra: tensorrt)")
DATA = Path(__file__).parents[2] / "tracker" / "landmarks" / "data"


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    return tensorrt_module("tensorrt_rtx")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return small_network(tmp_path / "small.onnx")


def test_one_engine_for_several_generations_and_batches(rtx: TensorRt, network: Path) -> None:
    steps: list[str] = []
    request = BuildRequest("fp16", BatchProfile(1, 4, 16), ("sm89", "SM86", "sm89"))
    built = build_plan(network, "small.onnx", request, trt=rtx, progress=lambda step, done: steps.append(step))
    assert built.targets == ("sm86", "sm89")
    assert built.inputs == (("image", (-1, 3, 32, 32), "float32"),)
    assert built.outputs == (("numbers", (-1, 10), "float32"),)
    assert {"reading", "compiling"} <= set(steps)
    again = build_plan(network, "small.onnx", request, trt=rtx)
    assert again.plan == built.plan


def test_half_the_weights_in_fp16(rtx: TensorRt, network: Path) -> None:
    whole, half = (build_plan(network, "n", BuildRequest(p, BatchProfile(1, 1, 4)), trt=rtx) for p in ("fp32", "fp16"))
    assert whole.targets == ("any",)
    assert whole.plan != half.plan


def test_turing_says_that_it_wants_fp16(rtx: TensorRt, network: Path) -> None:
    assert build_plan(network, "n", BuildRequest("fp16", BatchProfile(1, 1, 4), ("sm75",)), trt=rtx).plan
    with pytest.raises(EngineError, match=r"small\.onnx cannot be compiled: sm75 .*--precision fp16"):
        build_plan(network, "small.onnx", BuildRequest("fp32", BatchProfile(1, 1, 4), ("sm75",)), trt=rtx)


def test_a_generation_it_does_not_build_for(rtx: TensorRt, network: Path) -> None:
    with pytest.raises(EngineError, match=r"builds for sm75, .*not for sm30; without --for"):
        build_plan(network, "n", BuildRequest(targets=("sm30",)), trt=rtx)


def test_a_batch_that_the_network_does_not_take(rtx: TensorRt, tmp_path: Path) -> None:
    fixed = small_network(tmp_path / "fixed.onnx", rows=2)
    with pytest.raises(EngineError, match="input image has a fixed batch of 2; use --batch 2"):
        build_plan(fixed, "fixed.onnx", BuildRequest(batch=BatchProfile(1, 1, 4)), trt=rtx)
    assert build_plan(fixed, "fixed.onnx", BuildRequest(batch=BatchProfile(2, 2, 2)), trt=rtx).inputs[0][1] == (
        2,
        3,
        32,
        32,
    )


def test_an_operator_it_does_not_know(rtx: TensorRt, tmp_path: Path) -> None:
    odd = unsupported_network(tmp_path / "odd.onnx")
    with pytest.raises(EngineError, match=r"cannot take operator FoldFace \(node fold\).*use backend onnxruntime"):
        build_plan(odd, "odd.onnx", BuildRequest(), trt=rtx)


def test_no_network_at_all(rtx: TensorRt, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="noise is not a network that TensorRT-RTX"):
        build_plan(b"noise", "noise", BuildRequest(), trt=rtx)
    with pytest.raises(EngineError, match="cannot be read"):
        build_plan(tmp_path / "missing.onnx", "missing.onnx", BuildRequest(), trt=rtx)


def test_int8_needs_quantised_layers(rtx: TensorRt, network: Path) -> None:
    with pytest.raises(EngineError, match=r"small\.onnx has no quantised layers: calibrate it first"):
        build_plan(network, "small.onnx", BuildRequest("int8", BatchProfile(1, 1, 4)), trt=rtx)


def test_a_quantised_network_for_named_generations(
    rtx: TensorRt, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="quantising needs onnxruntime")
    file = tmp_path / "faces.npz"
    np.savez(file, crops=crops(24))
    common = [
        "build",
        str(toy),
        "--backend",
        "tensorrt",
        "--precision",
        "int8",
        "--batch",
        "1:4:8",
        "--for",
        "sm86,sm89",
    ]
    assert main([*common, "--calibrate", str(file), "--max-deviation", "0.5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "on sm86,sm89, int8, batch 1:4:8" in said[0]
    assert re.match(
        r"int8 judged on 8 crops by ONNX Runtime .* on the CPU, .*: (upper|lower) .* px on average", said[1]
    )
    header, plan = read_artifact(Path(said[-1]))
    assert (header.precision, header.device) == ("int8", "sm86,sm89")
    assert header.notes["calibration_rows"] == 16
    assert all(0 < found["mean"] < 0.5 for found in header.notes["gate"])
    whole = build_plan(toy, "toy", BuildRequest("fp32", BatchProfile(1, 4, 8), ("sm86", "sm89")), trt=rtx).plan
    assert plan != whole
    Path(said[-1]).unlink()
    assert main([*common, "--calibrate", str(file), "--max-deviation", "1e-6"]) == 1
    told = capsys.readouterr()
    assert "int8 is too far from fp32" in told.err and "upper" in told.out
    assert not Path(said[-1]).exists()


def test_stripping_is_refused_where_it_cannot_be(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, why in (
        (["--backend", "openvino"], "only tensorrt builds engines without weights"),
        ([], "--strip-weights needs the backend named too"),
        (["--backend", "tensorrt", "--precision", "int8"], "int8 engines keep their weights"),
    ):
        assert main(["build", str(toy), "--strip-weights", *more]) == 1
        assert why in capsys.readouterr().err.replace("\n", " ")
    if isinstance(find_gpu(), str):
        assert main(["build", str(toy), "--strip-weights", "--backend", "tensorrt"]) == 1
        assert "compiles refittable engines on a GPU only" in capsys.readouterr().err


def test_where_the_weights_come_back_from(toy: Path, tmp_path: Path) -> None:
    command = "engines build toy.onnx --backend tensorrt --strip-weights"
    header = ArtifactHeader(
        "toy.onnx", sha256_of(toy), "tensorrt", "1", "fp32", BatchProfile(), "sm86", (), (), weights=str(toy), command=command
    )  # fmt: skip
    path = tmp_path / "toy.engine"
    assert header.key() != replace(header, weights="").key()
    assert weights_of(path, header) == toy.read_bytes()
    assert weights_of(path, replace(header, precision="fp16")) != toy.read_bytes()
    toy.write_bytes(toy.read_bytes() + b"\0")
    with pytest.raises(
        EngineError, match=r"toy\.onnx is not the file any more .* run: engines build .* --strip-weights$"
    ):
        weights_of(path, header)
    toy.unlink()
    with pytest.raises(EngineError, match=r"toy\.onnx that has them is not there; .* run: .*--backend tensorrt$"):
        weights_of(path, header)


def test_an_engine_without_weights(rtx: TensorRt, network: Path) -> None:
    request = BuildRequest("fp16", BatchProfile(1, 1, 4), stripped=True)
    if isinstance(find_gpu(), Gpu):
        assert build_plan(network, "small.onnx", request, trt=rtx).plan
    else:
        with pytest.raises(EngineError, match="compiles refittable engines on a GPU only"):
            build_plan(network, "small.onnx", request, trt=rtx)


def test_an_artifact_of_the_cache(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    options = BuildOptions("tensorrt", "fp16", BatchProfile(1, 2, 8), ("sm86", "sm120"))
    path = build_artifact(network, options)
    header, payload = read_artifact(path)
    assert header.device == "sm86,sm120"
    assert header.inputs[0].shape == (8, 3, 32, 32)
    assert header.outputs[0].shape == (8, 10)
    assert len(payload) == header.payload_bytes
    assert build_artifact(network, options) == path
    if isinstance(find_gpu(), str):
        with pytest.raises(EngineError, match="cannot run here: no NVIDIA"):
            load_engine(path)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "Cuda Runtime (In x at /y.cpp:1 (cudaError 35: CUDA driver version is insufficient))",
            "no NVIDIA GPU, or its driver is too old",
        ),
        ("Error Code 2: OutOfMemory (Requested size was 123 bytes.)", "too little free memory"),
        ("IBuilder::x: Error Code 4: Internal Error (node 3 is odd)", "says: Internal Error [(]node 3 is odd"),
    ],
)
def test_what_it_says_becomes_one_line(rtx: TensorRt, said: str, advice: str) -> None:
    error = failure("engine net", rtx.title, [(4, "verbose"), (1, said)])
    assert "\n" not in str(error)
    with pytest.raises(EngineError, match=advice):
        raise error


def test_a_module_that_is_not_installed() -> None:
    with pytest.raises(EngineError, match=r"not installed.*facestream-tracker\[tensorrt\]"):
        tensorrt_module("tensorrt_of_another_vendor")


@pytest.mark.parametrize("file", [name for name in BY_FILE if name.endswith(".tflite")])
def test_every_network_of_the_product_compiles(rtx: TensorRt, file: str) -> None:
    try:
        network = convert(locate(file))
    except NetworkAssetError as error:
        pytest.skip(str(error))
    compiles(rtx, network, file)


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(DATA.glob("*.onnx")), ids=lambda file: file.name)
def test_this_projects_own_networks_compile(rtx: TensorRt, file: Path) -> None:
    compiles(rtx, file, f"landmarks of {file.name}")


def compiles(rtx: TensorRt, network: Path, file: str) -> None:
    # fp32 for those whose outputs are pixels; it is what the tracker runs.
    precision, targets = ("fp32", ()) if "landmark" in file else ("fp16", ("sm75", "sm86", "sm120"))
    built = build_plan(network, file, BuildRequest(precision, BatchProfile(1, 1, 16), targets), trt=rtx)
    assert len(built.plan) > 100_000
    assert built.inputs[0][1][0] == -1
