"""LiteRT (``ai-edge-litert``): runs .tflite files where OpenVINO has no wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from engines.engine import Engine, EngineError, TensorSpec


def load_model(path: Path, *, precision: str, threads: int, cache_dir: Path | None) -> Engine:
    """Load ``path``. LiteRT computes in fp32 and has nothing to cache. Raises EngineError when the file is not a
    network.
    """
    if precision not in ("auto", "fp32"):
        raise EngineError(f"{path.name}: LiteRT runs in fp32 only; use precision auto or fp32, or backend openvino")
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found, unused-ignore]

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise EngineError(
            f"{path} is not a network LiteRT can read; fetch it again ({str(error).splitlines()[0]})"
        ) from error
    return LiteRtEngine(path, interpreter, threads)


class LiteRtEngine(Engine):
    """A .tflite network run by LiteRT's XNNPACK kernels."""

    backend = "litert"
    precision = "fp32"

    def __init__(self, path: Path, interpreter: Any, threads: int) -> None:
        self._threads = threads
        self._interpreter = interpreter
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        super().__init__(path, [_spec(detail) for detail in self._inputs], [_spec(detail) for detail in self._outputs])
        self._results = tuple(np.zeros(spec.shape, spec.dtype) for spec in self.outputs)

    def another(self) -> Self:
        """See ``Engine.another``. LiteRT has nothing to share: the file is read again."""
        other = load_model(self.path, precision="fp32", threads=self._threads, cache_dir=None)
        assert isinstance(other, type(self))
        return other

    def run(self, count: int | None = None) -> tuple[np.ndarray[Any, Any], ...]:
        """See ``Engine.run``; the same arrays are returned every time."""
        for detail, array in zip(self._inputs, self.buffers.values(), strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        for detail, result in zip(self._outputs, self._results, strict=True):
            np.copyto(result, self._interpreter.get_tensor(detail["index"]))
        return self._results


def _spec(detail: dict[str, Any]) -> TensorSpec:
    return TensorSpec(detail["name"], tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"]))
