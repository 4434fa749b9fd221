"""What stands in a network file, before any backend compiles it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.batch import BatchProfile
from engines.cache import sha256_of
from engines.engine import TensorSpec
from engines.errors import EngineError, first_line
from engines.header import METADATA_KEY, NetworkHeader, from_json


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the file declares it."""

    name: str
    dimensions: tuple[int | None, ...]
    """None where the size is open."""
    dtype: np.dtype[Any]

    def with_rows(self, rows: int) -> TensorSpec:
        """The same with a definite number of rows."""
        return TensorSpec(self.name, tuple(rows if size is None else size for size in self.dimensions), self.dtype)


@dataclass(frozen=True, slots=True)
class Model:
    """An .onnx file."""

    path: Path
    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    network: NetworkHeader | None
    operators: tuple[str, ...]
    """Which kinds of operators it has."""

    @property
    def open_batch(self) -> bool:
        """Whether the first axis of every input is open."""
        return bool(self.inputs) and all(port.dimensions[:1] == (None,) for port in self.inputs)

    def check_batch(self, batch: BatchProfile) -> None:
        """Raises EngineError when the network cannot take that many rows."""
        for port in self.inputs:
            if None in port.dimensions[1:]:
                raise EngineError(
                    f"{self.path.name}: input {port.name} leaves more open than its first axis ({_text(port)}); "
                    "export it with only the batch open"
                )
        if not self.open_batch:
            rows = self.inputs[0].dimensions[0] if self.inputs and self.inputs[0].dimensions else 1
            if tuple(batch) != (rows, rows, rows):
                raise EngineError(
                    f"{self.path.name} takes exactly {rows} rows; use --batch {rows}, or export it with an open first axis"
                )


def require_onnx() -> Any:
    """The onnx module. Raises EngineError with the line that installs it."""
    if importlib.util.find_spec("onnx") is None:
        raise EngineError(
            "reading .onnx files needs the Python package onnx: pip install 'facestream-tracker[engines]'"
        )
    import onnx

    return onnx


def read_model(path: Path) -> Model:
    """Read and check an .onnx file, or an exported program of torch (.pt2).

    Raises:
        EngineError: it is missing, damaged, no network, or its header cannot be read.
    """
    if path.suffix.lower() == ".pt2":
        from engines.backend import module

        program: Model = module("torch").read_program(path)
        return program
    onnx = require_onnx()
    digest = sha256_of(path)
    try:
        loaded = onnx.load(str(path))
        onnx.checker.check_model(loaded)
    except Exception as error:  # protobuf's and onnx's own exceptions share no useful base
        raise EngineError(
            f"{path} is damaged or no ONNX network ({first_line(error)}); export or fetch it again"
        ) from error
    text = next((entry.value for entry in loaded.metadata_props if entry.key == METADATA_KEY), None)
    weights = {tensor.name for tensor in loaded.graph.initializer}
    return Model(
        path,
        digest,
        tuple(_port(onnx, value) for value in loaded.graph.input if value.name not in weights),
        tuple(_port(onnx, value) for value in loaded.graph.output),
        None if text is None else from_json(text, path.name),
        tuple(sorted({node.op_type for node in loaded.graph.node})),
    )


def write_header(source: Path, target: Path, network: NetworkHeader) -> None:
    """Copy an .onnx file with its header set. ``source`` and ``target`` may be the same.

    Raises:
        EngineError: ``source`` is no ONNX network, or ``target`` cannot be written.
    """
    onnx = require_onnx()
    try:
        loaded = onnx.load(str(source))
    except Exception as error:  # protobuf's exceptions share no useful base
        raise EngineError(f"{source} is damaged or no ONNX network ({first_line(error)})") from error
    set_header(loaded, network)
    partial = target.with_name(f".{target.name}.part")
    try:
        onnx.save(loaded, str(partial))
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EngineError(f"cannot write {target} ({error.strerror})") from error


def set_header(loaded: Any, network: NetworkHeader) -> None:
    """Put a header into an ``onnx.ModelProto`` in memory, in place of the one it has."""
    kept = {entry.key: entry.value for entry in loaded.metadata_props}
    kept[METADATA_KEY] = network.to_json()
    del loaded.metadata_props[:]
    for key, value in kept.items():
        loaded.metadata_props.add(key=key, value=value)


def _port(onnx: Any, value: Any) -> Port:
    kind = value.type.tensor_type
    sizes = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    return Port(value.name, sizes, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)))


def _text(port: Port) -> str:
    return "x".join("?" if size is None else str(size) for size in port.dimensions)
