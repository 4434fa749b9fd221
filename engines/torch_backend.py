"""PyTorch: exported programs (``.pt2``), with CUDA graphs on NVIDIA GPUs; the fallback on GPUs without TensorRT.

The payload is the file that was given; an .onnx file is translated (``engines.torch_onnx``) each time it is loaded.
"""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

import numpy as np
import torch

from engines.artifact import ArtifactHeader
from engines.backend import BuildJob, Built, Capability
from engines.cache import sha256_of
from engines.engine import Array, Engine, EngineError
from engines.errors import first_line
from engines.header import METADATA_KEY, from_json
from engines.model import Model, Port, read_model
from engines.quiet import quiet
from engines.torch_onnx import OnnxModule, translate

_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_LOADED: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""What this process has loaded and still uses."""


def describe() -> Capability:
    """See ``engines.backend.Backend``."""
    version = str(torch.__version__)
    if torch.cuda.is_available():
        return Capability(version, "cuda,cpu", torch.cuda.get_device_name(), ("fp32", "fp16", "bf16"), True)
    return Capability(version, "cpu", "CPU", ("fp32", "bf16"), True)


def device_for(targets: tuple[str, ...]) -> str:
    """See ``engines.backend.Backend``; ``cuda`` or ``cpu``, by default the first of them that is here."""
    devices = describe().device.split(",")
    if not targets:
        return devices[0]
    if len(targets) != 1 or targets[0] not in ("cuda", "cpu"):
        raise EngineError(f"torch builds for cuda or cpu, got --for {','.join(targets)}")
    return targets[0]


def read_program(path: Path) -> Model:
    """What stands in a .pt2 file. Raises EngineError when it is none."""
    digest = sha256_of(path)
    extra = {METADATA_KEY: ""}
    program = _load_program(path, path.name, extra)
    text = extra[METADATA_KEY]
    header = None if not text else from_json(text if isinstance(text, str) else bytes(text).decode(), path.name)
    inputs, outputs = _ports(program)
    if header is not None:
        # Exported programs know their tensors by place; the header has the names.
        inputs = tuple(
            Port(given.name, port.dimensions, port.dtype) for given, port in zip(header.inputs, inputs, strict=False)
        )
        outputs = tuple(
            Port(made.name, port.dimensions, port.dtype) for made, port in zip(header.outputs, outputs, strict=False)
        )
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    return Model(path, digest, inputs, outputs, header, tuple(sorted(operators)))


def _load_program(source: Any, name: str, extra: dict[str, Any] | None = None) -> Any:
    try:
        with quiet():
            return torch.export.load(source, extra_files=extra)
    except Exception as error:  # torch raises whatever the part that fails raises
        raise EngineError(
            f"{name} is no exported program that torch {torch.__version__} reads ({first_line(error)}); export it again"
        ) from error


def _ports(program: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    names = program.graph_signature.user_inputs, program.graph_signature.user_outputs
    given, made = (tuple(_port(str(name), values[name]) for name in some) for some in names)
    return given, made


def _port(name: str, value: Any) -> Port:
    sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(name, sizes, np.dtype(str(value.dtype).removeprefix("torch.")))


def build(job: BuildJob) -> Built:
    """See ``engines.backend.Backend``."""
    device = device_for(job.targets)
    if job.model.suffix == ".pt2":
        job.progress("reading", None)
        model = read_program(job.model)
    else:
        model = read_model(job.model)
    payload = job.model.read_bytes()
    rows = job.batch.maximum
    inputs = tuple(port.with_rows(rows) for port in model.inputs)
    if job.model.suffix != ".pt2":
        job.progress("translating, running once", None)
        try:
            with quiet(), torch.inference_mode():
                translate(payload, job.name)(*(torch.zeros(s.shape, dtype=torch_type(s.dtype)) for s in inputs))
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise EngineError(f"{job.name}: torch cannot run it ({first_line(error)})") from error
    outputs = tuple(port.with_rows(rows) for port in model.outputs)
    return Built(payload, device, inputs, outputs, {"kind": job.model.suffix.lstrip(".")})


def torch_type(dtype: Any) -> torch.dtype:
    """Torch's name of a numpy type."""
    found = getattr(torch, np.dtype(dtype).name)
    assert isinstance(found, torch.dtype)
    return found


def load(path: Path, header: ArtifactHeader, payload: bytes, threads: int) -> Engine:
    """See ``engines.backend.Backend``. Engines of one artifact share the weights."""
    device = "cuda" if header.device == "cuda" else "cpu"
    if device == "cpu":
        torch.set_num_threads(threads)
    key = f"{header.payload_sha256} {device} {header.precision}"
    module = _LOADED.get(key)
    if module is None:
        try:
            module = (
                _translated(payload, path.name, header.precision, device)
                if header.notes.get("kind") == "onnx"
                else _exported(payload, path.name, device)
            )
        except torch.cuda.OutOfMemoryError:
            raise EngineError(f"engine {path.name}: the GPU's memory is full; close other programs") from None
        _LOADED[key] = module
    if device == "cpu":
        return TorchEngine(path, header, module)
    from engines.cuda.device import open_device
    from engines.torch_device import TorchDeviceEngine

    # fp32 is fp32: TF32 keeps ten bits, a quarter of a pixel at 256.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return TorchDeviceEngine(path, header, module, open_device())


def _translated(payload: bytes, name: str, precision: str, device: str) -> OnnxModule:
    module = translate(payload, name)
    # On CPUs it is no gain: measured with the tracker's own encoder in bf16.
    return (module.lower(_TYPES[precision]) if device == "cuda" and precision in _TYPES else module).to(device)


def _exported(payload: bytes, name: str, device: str) -> Any:
    from torch.export.passes import move_to_device_pass

    program = _load_program(io.BytesIO(payload), name)
    with quiet():
        return (program if device == "cpu" else move_to_device_pass(program, device)).module()


class TorchEngine(Engine):
    """A network on the CPU."""

    backend = "torch"

    def __init__(self, path: Path, header: ArtifactHeader, module: Any) -> None:
        super().__init__(path, header.inputs, header.outputs, header.batch, header.network)
        self.precision = header.precision
        self._header = header
        self._module = module
        self._host = [torch.from_numpy(array) for array in self.buffers.values()]

    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """See ``Engine.run``."""
        rows = self.batch.maximum if count is None else count
        with torch.inference_mode():
            made = compute(self._module, self.precision, "cpu", [tensor[:rows] for tensor in self._host])
        return tuple(tensor.numpy() for tensor in made)

    def another(self) -> Self:
        """See ``Engine.another``."""
        return type(self)(self.path, self._header, self._module)


def compute(module: Any, precision: str, place: str, given: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A module's outputs, as float32 where it computed in less; ``place`` is ``cuda`` or ``cpu``."""
    kind = _TYPES.get(precision)
    with nullcontext() if kind is None else torch.autocast(place, kind, cache_enabled=False):
        made = module(*given)
    made = made if isinstance(made, (tuple, list)) else (made,)
    return tuple(tensor.float() if tensor.dtype in _TYPES.values() else tensor for tensor in made)
