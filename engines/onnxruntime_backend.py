"""ONNX Runtime: runs .onnx files where OpenVINO has no wheel, and on what else its build brings (CUDA, CoreML, TensorRT)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self
from weakref import WeakValueDictionary

import numpy as np

from engines.artifact import ArtifactHeader
from engines.backend import BuildJob, Built, Capability
from engines.batch import BatchProfile
from engines.engine import Array, Engine, EngineError, TensorSpec, fixed_shape
from engines.errors import first_line
from engines.header import NetworkHeader

_DTYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_PROVIDERS: Final = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_WARNING: Final = 2
_FATAL: Final = 4
_SESSIONS: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""What this process has loaded and still uses; a session may be run by several threads at once."""


def _onnxruntime() -> Any:
    import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return onnxruntime


def load_model(path: Path, *, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    """Load ``path`` for the CPU in the precision it was saved in. Raises EngineError when the file is not a network."""
    if precision not in ("auto", "fp32"):
        raise EngineError(
            f"{path.name}: ONNX Runtime runs a file as it was saved; use precision auto or fp32, or backend openvino"
        )
    try:
        session = _session(path.read_bytes(), "cpu", threads)
    except Exception as error:  # its exception classes live in a private module and derive from Exception only
        raise EngineError(
            f"{path} is not a network ONNX Runtime can read; convert it again ({first_line(error)})"
        ) from error
    return OnnxRuntimeEngine(path, session)


def describe() -> Capability:
    """See ``engines.backend.Backend``. The devices are those that this build of ONNX Runtime has providers for."""
    runtime = _onnxruntime()
    available = set(runtime.get_available_providers())
    devices = [name for name, provider in _PROVIDERS.items() if provider in available]
    precisions = ("fp32", "int8") if devices == ["cpu"] else ("fp32", "int8", "fp16")
    named = ", ".join(devices) if devices != ["cpu"] else "cpu; this build brings neither CUDA nor CoreML"
    return Capability(runtime.__version__, ",".join(devices), named, precisions, True)


def device_for(targets: tuple[str, ...]) -> str:
    """See ``engines.backend.Backend``; one of cpu, cuda, coreml, tensorrt. By default cuda where there is one, else cpu."""
    devices = describe().device.split(",")
    if not targets:
        return "cuda" if "cuda" in devices else "cpu"
    if len(targets) != 1 or targets[0] not in devices:
        hint = "; CUDA comes with onnxruntime-gpu in the place of onnxruntime" if targets == ("cuda",) else ""
        raise EngineError(
            f"onnxruntime builds here for one of {', '.join(devices)}, got --for {','.join(targets)}{hint}"
        )
    return targets[0]


def build(job: BuildJob) -> Built:
    """See ``engines.backend.Backend``. The payload is the network itself: sessions are optimised when they are made."""
    device = device_for(job.targets)
    if job.precision == "fp16" and device == "cpu":
        raise EngineError(f"{job.name}: onnxruntime has no fp16 on CPUs; add --for cuda or coreml, or use fp32")
    job.progress("reading", None)
    payload = _halved(job.model) if job.precision == "fp16" else job.model.read_bytes()
    job.progress("loading once", None)
    try:
        session = _session(payload, device, job.threads)
    except EngineError as error:
        raise EngineError(f"{job.name}: {error}") from error
    except Exception as error:  # its exception classes live in a private module and derive from Exception only
        raise EngineError(f"{job.name}: onnxruntime cannot run it ({first_line(error)})") from error
    rows = job.batch.maximum
    return Built(
        payload,
        device,
        tuple(_spec(port, rows) for port in session.get_inputs()),
        tuple(_spec(port, rows) for port in session.get_outputs()),
    )


def _halved(path: Path) -> bytes:
    import onnx
    from onnxruntime.transformers.float16 import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        convert_float_to_float16,
    )

    converted = convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)
    return bytes(converted.SerializeToString())


def load(path: Path, header: ArtifactHeader, payload: bytes, threads: int) -> Engine:
    """See ``engines.backend.Backend``. Engines of one artifact share the session."""
    key = f"{header.payload_sha256} {header.device} {threads}"
    session = _SESSIONS.get(key)
    if session is None:
        try:
            session = _session(payload, header.device, threads)
        except EngineError as error:
            raise EngineError(f"engine {path.name}: {error}") from error
        except Exception as error:  # its exception classes live in a private module and derive from Exception only
            raise EngineError(
                f"engine {path.name} is not one ONNX Runtime takes ({first_line(error)}); run: {header.command} --force"
            ) from error
        _SESSIONS[key] = session
    engine = OnnxRuntimeEngine(path, session, header.batch, header.network)
    engine.precision = header.precision
    return engine


def _session(model: bytes, device: str, threads: int) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = [_PROVIDERS[device], *([] if device == "cpu" else [_PROVIDERS["cpu"]])]
    # A provider that does not load says so on the terminal, and leaves the work to the CPU.
    runtime.set_default_logger_severity(_FATAL)
    try:
        session = runtime.InferenceSession(model, options, providers=providers)
    finally:
        runtime.set_default_logger_severity(_WARNING)
    if session.get_providers()[0] != providers[0]:
        raise EngineError(
            f"onnxruntime's {device} does not load on this machine: driver or libraries are missing; use --for cpu"
        )
    return session


class OnnxRuntimeEngine(Engine):
    """An .onnx network on ONNX Runtime's kernels."""

    backend = "onnxruntime"
    precision = "fp32"

    def __init__(
        self, path: Path, session: Any, batch: BatchProfile | None = None, network: NetworkHeader | None = None
    ) -> None:
        self._session = session
        rows = 1 if batch is None else batch.maximum
        inputs = [_spec(port, rows) for port in session.get_inputs()]
        super().__init__(path, inputs, [_spec(port, rows) for port in session.get_outputs()], batch, network)

    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """See ``Engine.run``."""
        if count is None or count == self.batch.maximum:
            return tuple(self._session.run(None, self.buffers))
        return tuple(self._session.run(None, {name: array[:count] for name, array in self.buffers.items()}))

    def another(self) -> Self:
        """See ``Engine.another``."""
        engine = type(self)(self.path, self._session, self.batch, self.network)
        engine.precision = self.precision
        return engine


def _spec(port: Any, rows: int) -> TensorSpec:
    return TensorSpec(port.name, fixed_shape(port.shape, rows), np.dtype(_DTYPES.get(port.type, np.float32)))
