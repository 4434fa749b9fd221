"""ONNX Runtime: runs .onnx files where OpenVINO has no wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Engine, EngineError, TensorSpec, fixed_shape

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def load(path: Path, *, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    """Load ``path`` for the CPU in the precision it was saved in. Raises EngineError when the file is not a network."""
    if precision == "bf16":
        raise EngineError(
            f"{path.name}: ONNX Runtime runs in f32 only here; use precision auto or f32, or backend openvino"
        )
    import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes live in a private module and derive from Exception only
        reason = str(error).strip().splitlines()[0]
        raise EngineError(f"{path} is not a network ONNX Runtime can read; convert it again ({reason})") from error
    return OnnxRuntimeEngine(path, session)


class OnnxRuntimeEngine(Engine):
    """An .onnx network on ONNX Runtime's CPU kernels."""

    backend = "onnxruntime"
    precision = "f32"

    def __init__(self, path: Path, session: Any) -> None:
        self._session = session
        inputs = [_spec(port) for port in session.get_inputs()]
        super().__init__(path, inputs, [_spec(port) for port in session.get_outputs()])

    def run(self) -> tuple[np.ndarray[Any, Any], ...]:
        """See ``Engine.run``."""
        return tuple(self._session.run(None, self.buffers))


def _spec(port: Any) -> TensorSpec:
    return TensorSpec(port.name, fixed_shape(port.shape), np.dtype(_DTYPES.get(port.type, np.float32)))
