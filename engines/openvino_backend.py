"""OpenVINO: the default on x86 and ARM CPUs.

Nothing is ever reported home: the wheel's usage reporting (package ``openvino-telemetry``) hangs on OpenVINO's model
conversion tools, which ``import openvino`` would pull in. They are not needed here and are kept from being imported.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np

from engines.artifact import ArtifactHeader
from engines.backend import BuildJob, Built, Capability
from engines.batch import BatchProfile
from engines.engine import Array, Engine, EngineError, TensorSpec, fixed_shape
from engines.header import NetworkHeader
from engines.openvino_kernels import VERSION as KERNELS_VERSION
from engines.openvino_kernels import choose_kernels
from engines.openvino_slimming import VERSION as SLIMMING_VERSION
from engines.openvino_slimming import drop_unread

_CONVERSION_TOOLS = "openvino.tools.ovc"
# oneDNN's switch that keeps it from using what the CPU has; OpenVINO's list of capabilities does not know of it.
_ISA_CAP = "ONEDNN_MAX_CPU_ISA"
_LOADING = Lock()
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}
_COMPILED: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""What this process has compiled and still uses: fingerprint -> compiled network."""


def _openvino() -> Any:
    """The openvino module, imported without its conversion tools (no telemetry, 0.1 s saved)."""
    # Engines may be made on several threads at once.
    with _LOADING:
        return _import_openvino()


@cache
def _import_openvino() -> Any:
    blocked = _CONVERSION_TOOLS not in sys.modules
    if blocked:
        # None makes the import system raise ModuleNotFoundError, which openvino/__init__ catches for this module.
        sys.modules[_CONVERSION_TOOLS] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            f"OpenVINO does not load on this machine ({error}); run: pip install --force-reinstall openvino"
        ) from error
    finally:
        if blocked:
            del sys.modules[_CONVERSION_TOOLS]
    # The binding makes its table of number types on first use: two threads that do so at once wait for each other for ever.
    openvino.Type.f32.to_dtype()
    return openvino


def shared_core() -> Any:
    """The process's one OpenVINO core. Never make another: a core hangs an alternate signal stack on the thread that makes it,
    and takes that memory along when it goes. The next signal with a handler, such as a child's end, would end the process.

    Raises EngineError when OpenVINO does not load.
    """
    openvino = _openvino()
    with _LOADING:
        return _make_core(openvino)


@cache
def _make_core(openvino: Any) -> Any:
    return openvino.Core()


def load_model(path: Path, *, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    """Compile ``path`` or take its compiled form from ``cache_dir``.

    Raises:
        EngineError: the file is not a network, or not one that this machine can run in the precision asked for.
    """
    if precision == "auto":
        try:
            if _multiplies_bf16():
                return _load(path, "bf16", threads, cache_dir)
        except EngineError:
            # The CPU has bf16 but its use is switched off or there is no kernel for some layer.
            pass
        precision = "fp32"
    return _load(path, precision, threads, cache_dir)


def describe() -> Capability:
    """See ``engines.backend.Backend``. The device is this CPU model with what it can multiply, and an Intel GPU."""
    core = shared_core()
    precisions = ["fp32", *(["bf16"] if _multiplies_bf16() else []), "int8"]
    devices = [_device("CPU")]
    if "GPU" in core.available_devices:
        precisions.append("fp16")
        devices.append(_device("GPU"))
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    version = f"{_openvino().get_version()} kernels {KERNELS_VERSION}"
    return Capability(version, ",".join(devices), name, tuple(precisions), True)


def device_for(targets: tuple[str, ...]) -> str:
    """See ``engines.backend.Backend``; ``cpu`` or ``gpu`` (Intel's)."""
    kind = {(): "CPU", ("cpu",): "CPU", ("gpu",): "GPU"}.get(targets)
    if kind is None:
        raise EngineError(f"openvino builds for cpu or gpu (Intel's), got --for {','.join(targets)}")
    if kind not in shared_core().available_devices:
        raise EngineError(
            f"openvino sees no {kind} on this machine; it sees {', '.join(shared_core().available_devices)}"
        )
    return _device(kind)


def _device(kind: str) -> str:
    """Compiled code suits one model of processor and what may be used of it."""
    core = shared_core()
    about = [core.get_property(kind, name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return f"{kind.lower()}-{hashlib.sha256(repr((about, os.environ.get(_ISA_CAP))).encode()).hexdigest()[:8]}"


def build(job: BuildJob) -> Built:
    """See ``engines.backend.Backend``."""
    device = device_for(job.targets)
    kind = device.partition("-")[0].upper()
    if job.precision == "fp16" and kind == "CPU":
        raise EngineError(f"{job.name}: openvino runs fp16 on Intel GPUs only; add --for gpu, or use bf16")
    core = shared_core()
    job.progress("reading", None)
    try:
        model = core.read_model(job.model)
        rows = -1 if not job.batch.fixed else job.batch.maximum
        dimension = job.batch.maximum if rows > 0 else _openvino().Dimension(job.batch.minimum, job.batch.maximum)
        model.reshape({port.any_name: [dimension, *_dimensions(port)[1:]] for port in model.inputs})
        job.progress("compiling", None)
        if kind == "CPU":
            choose_kernels(_openvino(), core, model, job.precision)
        compiled = core.compile_model(model, kind, _config(job.precision, job.threads))
        payload = compiled.export_model().getvalue()
    except RuntimeError as error:
        raise EngineError(f"{job.name}: openvino cannot compile it ({_reason(error)})") from error
    return Built(
        payload,
        device,
        tuple(_spec(port, job.batch.maximum) for port in compiled.inputs),
        tuple(_spec(port, job.batch.maximum) for port in compiled.outputs),
    )


def load(path: Path, header: ArtifactHeader, payload: bytes, threads: int) -> Engine:
    """See ``engines.backend.Backend``. Engines of one artifact share the compiled network."""
    config = _config(header.precision, threads)
    key = f"{header.payload_sha256} {threads}"
    compiled = _COMPILED.get(key)
    if compiled is None:
        try:
            kind = header.device.partition("-")[0].upper()
            compiled = shared_core().import_model(io.BytesIO(payload), kind, config)
        except RuntimeError as error:
            raise EngineError(
                f"engine {path.name} is not one OpenVINO takes ({_reason(error)}); run: {header.command} --force"
            ) from error
        _COMPILED[key] = compiled
    return OpenVinoEngine(path, compiled, header.precision, header.batch, header.network)


def _config(precision: str, threads: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
    }


def _reason(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()


def _multiplies_bf16() -> bool:
    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and not os.environ.get(_ISA_CAP)


def _load(path: Path, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    config = _config(precision, threads)
    fingerprint = _fingerprint(path, config)
    key = f"{fingerprint} {cache_dir}"
    compiled = _COMPILED.get(key)
    if compiled is None:
        blob = cache_dir / f"{path.stem}-{fingerprint}.blob" if cache_dir is not None else None
        compiled = _imported(blob, config) or _compiled(path, precision, config, blob)
        _COMPILED[key] = compiled
    return OpenVinoEngine(path, compiled, precision)


def _fingerprint(path: Path, config: dict[str, Any]) -> str:
    """Changes with the file, the settings, OpenVINO's build and the CPU model: all that a compiled network depends
    on.
    """
    digest = hashlib.sha256(path.read_bytes())
    about = (sorted(config.items()), _openvino().get_version(), _cpu_features(), KERNELS_VERSION, SLIMMING_VERSION)
    digest.update(repr(about).encode())
    return digest.hexdigest()[:20]


def _cpu_features() -> tuple[Any, ...]:
    core = shared_core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return core.get_property("CPU", "FULL_DEVICE_NAME"), capabilities, os.environ.get(_ISA_CAP)


def _imported(blob: Path | None, config: dict[str, Any]) -> Any | None:
    """The compiled network in ``blob``, or None when there is none or it cannot be used."""
    if blob is None or not blob.is_file():
        return None
    try:
        return shared_core().import_model(io.BytesIO(blob.read_bytes()), "CPU", config)
    except (RuntimeError, OSError):
        # A truncated or foreign blob: compiling anew replaces it.
        return None


def _compiled(path: Path, precision: str, config: dict[str, Any], blob: Path | None) -> Any:
    core = shared_core()
    try:
        model = core.read_model(path)
        model.reshape({port.any_name: fixed_shape(_dimensions(port)) for port in model.inputs})
        drop_unread(_openvino(), model)
        choose_kernels(_openvino(), core, model, precision)
        compiled = core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        raise EngineError(
            f"{path} is not a network OpenVINO can read; fetch or convert it again ({_reason(error)})"
        ) from error
    if blob is not None:
        _store(compiled, blob)
    return compiled


def _dimensions(port: Any) -> list[int | None]:
    return [size.get_length() if size.is_static else None for size in port.partial_shape]


def _store(compiled: Any, blob: Path) -> None:
    """Keep the compiled network; a cache that cannot be written costs start-up time and nothing else."""
    partial = blob.with_name(f".{blob.name}.{os.getpid()}.part")
    try:
        blob.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(compiled.export_model().getvalue())
        partial.replace(blob)
    except OSError:
        with suppress(OSError):
            partial.unlink()


class OpenVinoEngine(Engine):
    """A network compiled by OpenVINO with one infer request whose tensors are this object's arrays."""

    backend = "openvino"

    def __init__(
        self,
        path: Path,
        compiled: Any,
        precision: str,
        batch: BatchProfile | None = None,
        network: NetworkHeader | None = None,
    ) -> None:
        rows = 1 if batch is None else batch.maximum
        inputs = [_spec(port, rows) for port in compiled.inputs]
        super().__init__(path, inputs, [_spec(port, rows) for port in compiled.outputs], batch, network)
        self.precision = precision
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._memory = tuple(np.zeros(spec.shape, spec.dtype) for spec in self.outputs)
        self._bound: dict[int, tuple[tuple[Array, ...], list[Any], list[Any]]] = {}
        self._bind(self.batch.maximum)

    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """See ``Engine.run``; the same arrays are returned every time."""
        rows = self.batch.maximum if count is None else count
        if rows != self._rows_bound:
            self._bind(rows)
        # In this very thread: handing over to another one and back leaves both with cold caches.
        self._request.infer()
        return self._results

    def another(self) -> Self:
        """See ``Engine.another``."""
        return type(self)(self.path, self._compiled, self.precision, self.batch, self.network)

    def _bind(self, rows: int) -> None:
        """Make the request read and write the first ``rows`` rows of our arrays."""
        if rows not in self._bound:
            tensor = _openvino().Tensor
            full = rows == self.batch.maximum
            given = [array if full else array[:rows] for array in self.buffers.values()]
            results = tuple(array if full else array[:rows] for array in self._memory)
            wrapped = [[tensor(array, shared_memory=True) for array in arrays] for arrays in (given, results)]
            self._bound[rows] = results, wrapped[0], wrapped[1]
        self._results, inputs, outputs = self._bound[rows]
        for index, given_tensor in enumerate(inputs):
            self._request.set_input_tensor(index, given_tensor)
        for index, made_tensor in enumerate(outputs):
            self._request.set_output_tensor(index, made_tensor)
        self._rows_bound = rows


def _spec(port: Any, rows: int) -> TensorSpec:
    return TensorSpec(port.any_name, fixed_shape(_dimensions(port), rows), np.dtype(port.element_type.to_dtype()))
