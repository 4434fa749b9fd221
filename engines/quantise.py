"""Int8: one QDQ form of a network for OpenVINO, ONNX Runtime and TensorRT alike, from real crops, behind a gate.

Weights are quantised per output channel, activations symmetrically (TensorRT takes nothing else). Biases, depthwise
convolutions (nothing to gain) and the layers that make the outputs stay in float: landmarks lose most there.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engines.accuracy import Deviation, deviations, run_rows
from engines.backend import Progress, check_installed, silent
from engines.engine import Array
from engines.errors import EngineError, first_line
from engines.load import load_engine
from engines.model import Model, require_onnx
from engines.quiet import quiet

HELD_OUT: Final = 3
"""Every so many-th crop is kept from calibration and judges the result."""
_HEAVY: Final = ("Conv", "Gemm", "MatMul", "ConvTranspose")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a quantised network may deviate from fp32."""

    mean_px: float = 1.0
    """Mean distance of the landmarks of any region, pixels of the crop."""
    relative: float = 0.1
    """Mean deviation of any other output, relative to its spread."""

    def broken_by(self, found: Deviation) -> bool:
        """Whether a deviation is too large."""
        return not found.mean <= (self.mean_px if found.unit == "px" else self.relative)


class AccuracyError(EngineError):
    """A quantised network is too far from fp32. ``table`` has what was measured."""

    def __init__(self, message: str, table: list[Deviation]) -> None:
        super().__init__(message)
        self.table = table


@dataclass(frozen=True, slots=True)
class Quantised:
    """A QDQ network and how far it is from fp32 on crops it was not calibrated with."""

    model: bytes
    table: list[Deviation]
    notes: dict[str, Any]


def quantise(
    model: Model,
    inputs: Mapping[str, Array],
    limits: Limits | None = None,
    progress: Progress = silent,
    name: str | None = None,
) -> Quantised:
    """Calibrate, quantise and judge.

    Args:
        model: an .onnx file.
        inputs: real inputs by name, rows first; at least 6 rows, better 100.
        limits: None: those of ``Limits``.
        progress: told what happens.
        name: what messages call the network; None: its file's name.

    Raises:
        AccuracyError: it deviates more than ``limits`` allow.
        EngineError: too few rows, the network cannot be quantised, or onnxruntime is not installed.
    """
    check_installed("onnxruntime")
    limits, name = limits or Limits(), name or model.path.name
    rows = len(next(iter(inputs.values())))
    if rows < 2 * HELD_OUT:
        raise EngineError(f"{name}: int8 needs at least {2 * HELD_OUT} crops to calibrate with, got {rows}")
    judged = [index for index in range(rows) if index % HELD_OUT == 0]
    learnt = [index for index in range(rows) if index % HELD_OUT]
    with tempfile.TemporaryDirectory(prefix="engines-int8-") as folder:
        target = Path(folder) / "int8.onnx"
        progress(f"calibrating with {len(learnt)} crops", None)
        with quiet():
            _write(model, {name: array[learnt] for name, array in inputs.items()}, target, Path(folder))
        progress(f"comparing with fp32 on {len(judged)} other crops", None)
        held = {name: array[judged] for name, array in inputs.items()}
        reference = run_rows(load_engine(model.path, "onnxruntime", "fp32"), held)
        table = deviations(model.network, reference, run_rows(load_engine(target, "onnxruntime", "fp32"), held))
        content = target.read_bytes()
    worst = [found for found in table if limits.broken_by(found)]
    if worst:
        said = ", ".join(f"{found.what} {found.mean:.3g} {found.unit}" for found in worst[:3])
        raise AccuracyError(
            f"{name}: int8 is too far from fp32 ({said}; "
            f"allowed {limits.mean_px:g} px, {limits.relative:g} relative); "
            "calibrate with more crops, raise --max-deviation, or use bf16 or fp16",
            table,
        )
    notes = {
        "calibration_rows": len(learnt),
        "calibration_sha256": _digest(inputs),
        "judged_rows": len(judged),
        "judged_by": f"ONNX Runtime {_version()} on the CPU, running the same quantised network",
        "gate": [{"what": f.what, "unit": f.unit, "mean": round(f.mean, 5), "p95": round(f.p95, 5)} for f in table],
    }
    return Quantised(content, table, notes)


def _write(model: Model, inputs: Mapping[str, Array], target: Path, folder: Path) -> None:
    from onnxruntime import quantization  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from onnxruntime.quantization.shape_inference import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        quant_pre_process,
    )

    prepared = folder / "prepared.onnx"
    rows = len(next(iter(inputs.values())))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            self._next = 0

        def get_next(self) -> dict[str, Array] | None:
            self._next += 1
            row = slice(self._next - 1, self._next)
            return None if self._next > rows else {name: array[row] for name, array in inputs.items()}

    try:
        quant_pre_process(str(model.path), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(target),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_HEAVY),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_kept_in_float(prepared),
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
    except Exception as error:  # its own exceptions, protobuf's and plain ones
        raise EngineError(f"{model.path.name}: cannot be quantised ({first_line(error)})") from error


def _kept_in_float(path: Path) -> list[str]:
    """Names of depthwise convolutions and of the layers nearest to the outputs; nodes without a name are given one in the
    file.
    """
    onnx = require_onnx()
    loaded = onnx.load(str(path))
    for index, node in enumerate(loaded.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    onnx.save(loaded, str(path))
    maker = {output: node for node in loaded.graph.node for output in node.output}
    waiting, seen = [output.name for output in loaded.graph.output], set()
    found = [node.name for node in loaded.graph.node if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    while waiting:
        node = maker.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type in _HEAVY:
            found.append(node.name)
        else:
            waiting += node.input
    return found


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def _digest(inputs: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(inputs.items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()
