"""Which of ONNX Runtime's providers run a network: those of its build, where they load."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines import EngineError
from engines import onnxruntime_backend as backend
from engines.artifact import read_artifact
from engines.build import BuildOptions, build_artifact, load_artifact
from tests.engines.toy import ready

onnxruntime = pytest.importorskip("onnxruntime", reason="not installed (extra: engines)")


def build_of(monkeypatch: pytest.MonkeyPatch, listed: list[str], loading: list[str]) -> None:
    """An ONNX Runtime whose build lists some providers, of which only some load: the others leave the work to the CPU."""

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, model: bytes, options: Any, providers: list[str]) -> None:
            assert set(providers) <= set(listed)
            self._asked = [name for name in providers if name in loading]
            super().__init__(model, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return self._asked

    module = SimpleNamespace(
        __version__=onnxruntime.__version__,
        get_available_providers=lambda: listed,
        InferenceSession=Session,
        SessionOptions=onnxruntime.SessionOptions,
        set_default_logger_severity=onnxruntime.set_default_logger_severity,
    )
    monkeypatch.setattr(backend, "_onnxruntime", lambda: module)
    monkeypatch.setattr(backend, "_SESSIONS", {})


CPU, CUDA, COREML = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "CoreML"))


def test_without_other_providers_the_cpu_is_taken_and_the_reason_told(monkeypatch: pytest.MonkeyPatch) -> None:
    build_of(monkeypatch, ["AzureExecutionProvider", CPU], [CPU])
    told = backend.describe()
    assert (told.device, told.precisions) == ("cpu", ("fp32", "int8"))
    assert told.device_name == "cpu; this build brings neither CUDA nor CoreML"
    assert backend.device_for(()) == "cpu"
    with pytest.raises(EngineError, match=r"one of cpu, got --for cuda; CUDA comes with onnxruntime-gpu"):
        backend.device_for(("cuda",))
    with pytest.raises(EngineError, match=r"one of cpu, got --for coreml$"):
        backend.device_for(("coreml",))


def test_cuda_is_taken_by_itself_and_coreml_when_asked_for(
    toy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_of(monkeypatch, [CUDA, COREML, CPU], [CUDA, COREML, CPU])
    told = backend.describe()
    assert (told.device, told.device_name) == ("cuda,coreml,cpu", "cuda, coreml, cpu")
    assert "fp16" in told.precisions
    assert backend.device_for(()) == "cuda"
    for targets, device in (((), "cuda"), (("coreml",), "coreml"), (("cpu",), "cpu")):
        path = build_artifact(toy, BuildOptions("onnxruntime", targets=targets))
        assert read_artifact(path)[0].device == device
        assert load_artifact(path).infer(ready(1))["points"].shape == (1, 12)


def test_a_provider_that_is_listed_and_does_not_load(toy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_of(monkeypatch, [CUDA, CPU], [CUDA, CPU])
    path = build_artifact(toy, BuildOptions("onnxruntime"))
    build_of(monkeypatch, [CUDA, CPU], [CPU])
    why = "onnxruntime's cuda does not load on this machine: driver or libraries are missing; use --for cpu"
    with pytest.raises(EngineError) as error:
        load_artifact(path)
    assert str(error.value) == f"engine {path.name}: {why}"
    with pytest.raises(EngineError) as error:
        build_artifact(toy, BuildOptions("onnxruntime"), force=True)
    assert str(error.value) == f"toy.onnx: {why}"
    assert build_artifact(toy, BuildOptions("onnxruntime", targets=("cpu",))).is_file()


def test_fp16_is_for_other_devices(toy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_of(monkeypatch, [CUDA, CPU], [CUDA, CPU])
    with pytest.raises(EngineError, match="no fp16 on CPUs; add --for cuda or coreml, or use fp32"):
        build_artifact(toy, BuildOptions("onnxruntime", "fp16", targets=("cpu",)))
    engine = load_artifact(build_artifact(toy, BuildOptions("onnxruntime", "fp16")))
    assert engine.precision == "fp16"
    assert engine.infer(ready(1))["points"].dtype == "float32"
