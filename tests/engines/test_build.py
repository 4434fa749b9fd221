from __future__ import annotations

import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import BatchProfile, EngineError, backend, load_engine, parse_batch
from engines.artifact import MAGIC, read_artifact, read_header, write_artifact
from engines.build import BuildOptions, build_artifact, load_artifact
from engines.cache import cache_dir
from engines.state import state_of
from tests.engines.toy import HEADER, ready, save, toy_network
from tracker.cache import cache_dir as tracker_cache_dir

UP_TO_8 = BatchProfile(1, 4, 8)


# torch takes longer to import than all of these tests to run.
@pytest.fixture(params=["openvino", "onnxruntime", pytest.param("torch", marks=pytest.mark.slow)])
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    if not backend.installed(chosen):
        pytest.skip(f"backend {chosen} is not installed")
    return chosen


def test_every_backend_computes_the_same_whatever_the_batch(name: str, toy: Path) -> None:
    path = build_artifact(toy, BuildOptions(name, batch=UP_TO_8))
    engine = load_engine(path)
    assert engine.batch == UP_TO_8 and engine.network == HEADER
    assert [spec.shape for spec in engine.inputs] == [(8, 3, 16, 16)]
    reference = load_engine(toy, "openvino", "fp32")
    crops = ready(8)
    together = {key: value.copy() for key, value in engine.infer(crops).items()}
    for row in range(8):
        expected = reference.infer(crops[row : row + 1])
        alone = engine.infer(crops[row : row + 1])
        for key, value in expected.items():
            assert np.allclose(alone[key], value, atol=1e-4)
            assert np.allclose(together[key][row], value[0], atol=1e-4)


def test_buffers_are_the_networks_own_memory_in_batches_too(name: str, toy: Path) -> None:
    engine = load_engine(build_artifact(toy, BuildOptions(name, batch=UP_TO_8)))
    crops = ready(5)
    expected = engine.infer(crops)["points"].copy()
    engine.buffers["image"][...] = 0
    engine.buffers["image"][:5] = crops
    points, presence = engine.run(5)
    assert points.shape == (5, 12) and presence.shape == (5, 1)
    assert np.array_equal(points, expected)
    assert engine.run()[0].shape == (8, 12)


def test_threads_share_a_compiled_network(name: str, toy: Path) -> None:
    first = load_engine(build_artifact(toy, BuildOptions(name, batch=UP_TO_8)))
    engines = [first, first.another(), load_engine(first.path), first.another()]
    crops = [ready(8, seed) for seed in range(4)]
    expected = [first.infer(some)["points"].copy() for some in crops]

    def often(index: int) -> bool:
        return all(
            np.allclose(engines[index].infer(crops[index])["points"], expected[index], atol=1e-5) for _ in range(30)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(often, range(4)))


def test_a_process_compiles_a_network_once(toy: Path) -> None:
    pytest.importorskip("openvino")
    path = build_artifact(toy, BuildOptions("openvino"))
    one, two = load_artifact(path), load_artifact(path)
    assert one._compiled is two._compiled is one.another()._compiled  # type: ignore[attr-defined]
    assert one.buffers["image"] is not two.buffers["image"]


def test_what_the_cache_has_is_not_built_again_and_damage_is_mended(name: str, toy: Path) -> None:
    options = BuildOptions(name)
    path = build_artifact(toy, options)
    first = path.stat().st_mtime_ns
    assert build_artifact(toy, options) == path and path.stat().st_mtime_ns == first
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(EngineError, match=rf"is damaged; run: engines build .*toy.onnx --backend {name} .*--force"):
        load_engine(path)
    assert build_artifact(toy, options) == path
    load_engine(path)


def test_another_precision_batch_or_model_is_another_engine(toy: Path, tmp_path: Path) -> None:
    other = toy_network(tmp_path / "other.onnx", gain=3.0)
    paths = {
        build_artifact(toy, BuildOptions("onnxruntime")),
        build_artifact(toy, BuildOptions("onnxruntime", batch=UP_TO_8)),
        build_artifact(other, BuildOptions("onnxruntime")),
    }
    assert len(paths) == 3


def test_the_header_tells_everything(toy: Path, cache: Path) -> None:
    path = build_artifact(toy, BuildOptions("onnxruntime", batch=UP_TO_8))
    assert path.parent == cache
    header = read_header(path)
    assert header.network == HEADER and header.backend == "onnxruntime" and header.batch == UP_TO_8
    assert header.command == f"engines build {toy} --backend onnxruntime --precision fp32 --batch 1:4:8"
    assert [str(spec) for spec in header.outputs] == ["points float32[8, 12]", "presence float32[8, 1]"]
    assert len(header.model_sha256) == 64 and header.built_at.endswith("+00:00")
    assert path.name.endswith(f"{header.key()}.engine")
    assert state_of(header) == "usable"


@pytest.mark.parametrize(
    ("change", "state", "message"),
    [
        ({"backend_version": "0.1"}, "stale", "was built by onnxruntime 0.1, here is .*; run: engines build"),
        ({"device": "cuda"}, "for another machine", "was built for cuda, this machine is cpu; run: engines build"),
    ],
)
def test_stale_and_foreign_engines_are_refused(
    toy: Path, tmp_path: Path, change: dict[str, str], state: str, message: str
) -> None:
    header, payload = read_artifact(build_artifact(toy, BuildOptions("onnxruntime")))
    changed = replace(header, **change)  # type: ignore[arg-type]
    write_artifact(tmp_path / "x.engine", changed, payload)
    assert state_of(changed) == state
    with pytest.raises(EngineError, match=message) as caught:
        load_engine(tmp_path / "x.engine")
    assert "\n" not in str(caught.value)


def _truncated(content: bytes) -> bytes:
    return content[:30]


def _other_format(content: bytes) -> bytes:
    (length,) = struct.unpack("<I", content[8:12])
    plain = {**json.loads(content[12 : 12 + length]), "format": 9}
    text = json.dumps(plain).encode()
    return MAGIC + struct.pack("<I", len(text)) + text + content[12 + length :]


def _flipped(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: b"", "is not an engine of this program; make one: engines build"),
        (lambda content: b"FSENGINE", "is not an engine"),
        (lambda content: b"PK" + content, "is not an engine"),
        (lambda content: MAGIC + b"\xff\xff\xff\xff" + content[12:], "is damaged; build it again"),
        (_truncated, "is damaged; build it again"),
        (_other_format, "has format 9, this version reads 1; run: engines build .*--force"),
        (_flipped, "is damaged; run: engines build"),
    ],
)
def test_corrupted_engines_are_refused(toy: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    path = build_artifact(toy, BuildOptions("onnxruntime"))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(EngineError, match=message) as caught:
        load_engine(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("9", r"toy-.* takes 1 to 8 rows at once, got 9; for more run: engines build .* --batch 1:9"),
        ("0", "takes 1 to 8 rows at once, got 0"),
        ("shape", r"input image must have shape \(2, 3, 16, 16\), got \(2, 3, 16, 15\)"),
    ],
)
def test_wrong_batches_are_named(toy: Path, given: str, message: str) -> None:
    engine = load_engine(build_artifact(toy, BuildOptions("onnxruntime", batch=UP_TO_8)))
    crops = np.zeros((2, 3, 16, 15), np.float32) if given == "shape" else np.zeros((int(given), 3, 16, 16), np.float32)
    with pytest.raises(EngineError, match=message):
        engine.infer(crops)


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "4:2", "1:2:3:4", "2:1:4", "1.5"])
def test_batches_that_are_none(text: str) -> None:
    with pytest.raises(EngineError, match="batch must be N, MIN:MAX or MIN:OPT:MAX"):
        parse_batch(text)


def test_batches_are_read() -> None:
    assert parse_batch("4") == (4, 4, 4) and parse_batch("1:8") == (1, 8, 8) and parse_batch("1:2:8") == (1, 2, 8)


def test_what_cannot_be_built_is_named(tmp_path: Path, cache: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    value = helper.make_tensor_value_info
    fixed = toy_network(tmp_path / "fixed.onnx", batch=2)
    wide = save(
        tmp_path / "wide.onnx",
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "w",
            [value("x", kind, ["b", "n"])],
            [value("y", kind, ["b", "n"])],
        ),
    )
    strange = helper.make_model(
        helper.make_graph(
            [helper.make_node("Frobnicate", ["x"], ["y"], domain="nobody")], "s",
            [value("x", kind, [1, 3])], [value("y", kind, [1, 3])],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("nobody", 1)],
    )  # fmt: skip
    strange.ir_version = 8
    onnx.save(strange, str(tmp_path / "strange.onnx"))
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    cases = [
        (tmp_path / "none.onnx", BuildOptions("onnxruntime"), "does not exist"),
        (tmp_path / "broken.onnx", BuildOptions("onnxruntime"), "damaged or no ONNX network"),
        (fixed, BuildOptions("onnxruntime", batch=UP_TO_8), "takes exactly 2 rows; use --batch 2"),
        (wide, BuildOptions("onnxruntime"), r"leaves more open than its first axis \(\?x\?\)"),
        (tmp_path / "strange.onnx", BuildOptions("onnxruntime"), "onnxruntime cannot run it .*Frobnicate"),
        (tmp_path / "strange.onnx", BuildOptions("openvino"), "openvino cannot compile it .*Frobnicate"),
        (fixed, BuildOptions("onnxruntime", "bf16", parse_batch("2")), "does not run bf16; use fp32 or int8"),
        (fixed, BuildOptions("onnxruntime", "int8", parse_batch("2")), "int8 needs real crops"),
        (fixed, BuildOptions("onnxruntime", batch=parse_batch("2"), targets=("tpu",)), "one of .*cpu.*, got --for tpu"),
        (fixed, BuildOptions("caffe"), "backend must be auto, openvino, .*got 'caffe'"),
    ]
    for path, options, message in cases:
        with pytest.raises(EngineError, match=message) as caught:
            build_artifact(path, options)
        assert "\n" not in str(caught.value), message
    assert not list(cache.glob("*.engine"))


def test_out_of_memory_is_one_line(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engines import onnxruntime_backend

    def starved(*_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(onnxruntime_backend, "build", starved)
    with pytest.raises(EngineError, match=r"out of memory while building for onnxruntime; .*smaller --batch"):
        build_artifact(toy, BuildOptions("onnxruntime"))


def test_a_backend_that_builds_nothing(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "module", lambda name: None)
    with pytest.raises(EngineError, match="backend litert builds no engines; use openvino, onnxruntime"):
        build_artifact(toy, BuildOptions("litert"))


def test_a_backend_that_is_not_installed(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: False)
    with pytest.raises(
        EngineError, match=r"backend torch is not installed; run: pip install 'facestream-tracker\[torch\]'"
    ):
        build_artifact(toy, BuildOptions("torch"))


def test_the_cache_is_the_trackers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == cache == tracker_cache_dir("engines")
    monkeypatch.delenv("TRACKER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == tracker_cache_dir("engines")


def test_exported_programs_run(tmp_path: Path, cache: Path) -> None:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, image):  # type: ignore[no-untyped-def]
            return image.mean((2, 3)), image.amax((1, 2, 3))

    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Net(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    header = replace(HEADER, outputs=HEADER.outputs, regions={})
    torch.export.save(program, tmp_path / "net.pt2", extra_files={"facestream": header.to_json()})
    engine = load_engine(build_artifact(tmp_path / "net.pt2", BuildOptions("torch", batch=UP_TO_8)))
    assert engine.network == header
    crops = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    made = engine.infer(crops)
    assert np.allclose(made["points"], crops.mean((2, 3)), atol=1e-6)
    assert np.array_equal(made["presence"], crops.max((1, 2, 3)))
    with pytest.raises(EngineError, match=r"backend openvino builds \.onnx files, got net.pt2"):
        build_artifact(tmp_path / "net.pt2", BuildOptions("openvino"))
    (tmp_path / "broken.pt2").write_bytes(b"nothing")
    with pytest.raises(EngineError, match="is no exported program that torch"):
        build_artifact(tmp_path / "broken.pt2", BuildOptions("torch"))
