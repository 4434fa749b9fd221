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
from typing import Any

import numpy as np

from engines.engine import Engine, EngineError, TensorSpec, fixed_shape

_CONVERSION_TOOLS = "openvino.tools.ovc"
# oneDNN's switch that keeps it from using what the CPU has; OpenVINO's list of capabilities does not know of it.
_ISA_CAP = "ONEDNN_MAX_CPU_ISA"
_LOADING = Lock()


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


def _core() -> Any:
    openvino = _openvino()
    with _LOADING:
        return _make_core(openvino)


@cache
def _make_core(openvino: Any) -> Any:
    return openvino.Core()


def load(path: Path, *, precision: str, threads: int, cache_dir: Path | None) -> Engine:
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
        precision = "f32"
    return _load(path, precision, threads, cache_dir)


def _multiplies_bf16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and not os.environ.get(_ISA_CAP)


def _load(path: Path, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    blob = cache_dir / f"{path.stem}-{_fingerprint(path, config)}.blob" if cache_dir is not None else None
    compiled = _imported(blob, config) or _compiled(path, config, blob)
    return OpenVinoEngine(path, compiled, precision)


def _fingerprint(path: Path, config: dict[str, Any]) -> str:
    """Changes with the file, the settings, OpenVINO's build and the CPU model: all that a compiled network depends
    on.
    """
    digest = hashlib.sha256(path.read_bytes())
    digest.update(repr((sorted(config.items()), _openvino().get_version(), _cpu_features())).encode())
    return digest.hexdigest()[:20]


def _cpu_features() -> tuple[Any, ...]:
    core = _core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return core.get_property("CPU", "FULL_DEVICE_NAME"), capabilities, os.environ.get(_ISA_CAP)


def _imported(blob: Path | None, config: dict[str, Any]) -> Any | None:
    """The compiled network in ``blob``, or None when there is none or it cannot be used."""
    if blob is None or not blob.is_file():
        return None
    try:
        return _core().import_model(io.BytesIO(blob.read_bytes()), "CPU", config)
    except (RuntimeError, OSError):
        # A truncated or foreign blob: compiling anew replaces it.
        return None


def _compiled(path: Path, config: dict[str, Any], blob: Path | None) -> Any:
    core = _core()
    try:
        model = core.read_model(path)
        model.reshape({port.any_name: fixed_shape(_dimensions(port)) for port in model.inputs})
        compiled = core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(f"{path} is not a network OpenVINO can read; fetch or convert it again ({reason})") from error
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

    def __init__(self, path: Path, compiled: Any, precision: str) -> None:
        super().__init__(path, [_spec(port) for port in compiled.inputs], [_spec(port) for port in compiled.outputs])
        self.precision = precision
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        tensor = _openvino().Tensor
        self._results = tuple(np.zeros(spec.shape, spec.dtype) for spec in self.outputs)
        self._tensors = []
        for index, array in enumerate(self.buffers.values()):
            self._tensors.append(tensor(array, shared_memory=True))
            self._request.set_input_tensor(index, self._tensors[-1])
        for index, array in enumerate(self._results):
            self._tensors.append(tensor(array, shared_memory=True))
            self._request.set_output_tensor(index, self._tensors[-1])

    def run(self) -> tuple[np.ndarray[Any, Any], ...]:
        """See ``Engine.run``; the same arrays are returned every time."""
        # In this very thread: handing over to another one and back leaves both with cold caches.
        self._request.infer()
        return self._results


def _spec(port: Any) -> TensorSpec:
    return TensorSpec(port.any_name, tuple(port.shape), np.dtype(port.element_type.to_dtype()))
