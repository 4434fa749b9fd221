from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from engines import EngineError, InputHeader, NetworkHeader, OutputHeader, load_engine, model  # noqa: E402
from engines.openvino_backend import shared_core  # noqa: E402
from engines.resolve import resolve  # noqa: E402
from engines.tflite import convert as conversion  # noqa: E402
from engines.tflite.convert import convert  # noqa: E402
from tests.network_inputs import NETWORKS, noise, real, relative_difference  # noqa: E402

DETECTOR = "face_detector.tflite"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: Path) -> Path:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines" / "converted"


@pytest.mark.parametrize("name", NETWORKS)
def test_parity_with_openvinos_reading(
    name: str, networks: Path, cache: Path, samples: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    reference = load_engine(networks / name, "openvino", "f32")
    monkeypatch.delenv("TRACKER_CACHE")  # the samples are in the user's
    shape = reference.inputs[0].shape
    inputs = [noise(shape), real(shape, samples("single_face.jpg")), noise(shape, 1)]
    expected = [[array.copy() for array in reference.infer(given).values()] for given in inputs]
    monkeypatch.setenv("TRACKER_CACHE", str(cache.parent.parent))
    path = convert(networks / name)
    batch = np.concatenate(inputs)

    # Both run the three as one batch, so that nothing of one sample may leak into another.
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    by_onnxruntime = session.run(None, {session.get_inputs()[0].name: batch})
    compiled = shared_core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    by_openvino = list(compiled([batch]).values())
    for outputs in (by_onnxruntime, by_openvino):
        for row, arrays in enumerate(expected):
            for output, array in zip(outputs, arrays, strict=True):
                assert relative_difference(output[row], array) < 1e-4


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_names_shapes_and_layout(layout: str, networks: Path) -> None:
    read = model.read_model(convert(networks / DETECTOR, layout=layout))  # type: ignore[arg-type]
    expected = (None, 128, 128, 3) if layout == "NHWC" else (None, 3, 128, 128)
    assert [(port.name, port.dimensions) for port in read.inputs] == [("input", expected)]
    assert [(port.name, port.dimensions) for port in read.outputs] == [
        ("regressors", (None, 896, 16)),
        ("classificators", (None, 896, 1)),
    ]
    assert read.open_batch
    assert read.network is not None
    assert read.network.inputs == (InputHeader("input", "crop", layout, 128),)
    assert [made.name for made in read.network.outputs] == ["regressors", "classificators"]


def test_what_is_known_goes_into_the_header(networks: Path) -> None:
    known = NetworkHeader(
        "detector",
        "detector",
        "Apache-2.0",
        inputs=(InputHeader("", "crop", "NHWC", 128, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),),
        outputs=(OutputHeader("", "boxes", "px"), OutputHeader("", "confidence", "logit")),
    )
    network = model.read_model(convert(networks / DETECTOR, known)).network
    assert network is not None
    assert (network.name, network.licence) == ("detector", "Apache-2.0")
    assert network.inputs[0] == InputHeader("input", "crop", "NHWC", 128, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert [(made.name, made.role) for made in network.outputs] == [
        ("regressors", "boxes"),
        ("classificators", "confidence"),
    ]
    with pytest.raises(EngineError, match="has 1 inputs and 2 outputs, its header tells of 1 and 1"):
        convert(networks / DETECTOR, NetworkHeader("x", inputs=known.inputs, outputs=known.outputs[:1]))


def test_conversions_are_kept(networks: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = convert(networks / DETECTOR)
    made_at = first.stat().st_mtime_ns
    assert first.parent == cache
    assert convert(networks / DETECTOR) == first
    assert first.stat().st_mtime_ns == made_at
    assert convert(networks / DETECTOR, layout="NCHW") != first
    monkeypatch.setattr(conversion, "VERSION", conversion.VERSION + 1)
    assert convert(networks / DETECTOR) != first
    assert not list(cache.glob(".*")), "half-written files are left behind"


def test_a_tflite_file_can_be_named_where_a_network_is_wanted(networks: Path, cache: Path) -> None:
    resolved = resolve(str(networks / DETECTOR))
    assert resolved.path.parent == cache
    assert resolved.original == networks / DETECTOR


def test_a_cache_that_cannot_be_written(networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="set TRACKER_CACHE") as caught:
        convert(networks / DETECTOR)
    assert "\n" not in str(caught.value)


def test_without_onnx_one_line_says_what_to_install(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install 'facestream-tracker\[engines\]'"):
        convert(networks / DETECTOR)


def _cut_short(content: bytes) -> bytes:
    return content[:-100]


def _one_bit(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 4]) + content[5001:]


@pytest.mark.parametrize("spoil", [_cut_short, _one_bit])
def test_a_damaged_conversion_is_made_anew(
    networks: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = convert(networks / DETECTOR)
    content = path.read_bytes()
    path.write_bytes(spoil(content))
    assert convert(networks / DETECTOR) == path
    assert path.read_bytes() == content
    assert "is damaged or was not finished; it is made anew" in caplog.text


def test_a_conversion_whose_digest_is_missing_is_made_anew(networks: Path) -> None:
    path = convert(networks / DETECTOR)
    path.with_suffix(".sha256").unlink()
    before = path.stat().st_mtime_ns
    assert convert(networks / DETECTOR) == path and path.stat().st_mtime_ns > before
