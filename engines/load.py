"""Choose a backend for a network file."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Literal

from engines.engine import Engine, EngineError

Backend = Literal["auto", "openvino", "litert", "onnxruntime"]
Precision = Literal["auto", "f32", "bf16"]

# Per backend: the module that must be importable, the pip requirement that brings it, the file kinds it reads.
_BACKENDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "openvino": ("openvino", "openvino", (".tflite", ".onnx")),
    "litert": ("ai_edge_litert", "ai-edge-litert", (".tflite",)),
    "onnxruntime": ("onnxruntime", "onnxruntime", (".onnx",)),
}


def load_engine(
    path: str | Path,
    backend: Backend = "auto",
    precision: Precision = "auto",
    threads: int = 1,
    cache_dir: Path | None = None,
) -> Engine:
    """Compile a network for this machine's CPU.

    Args:
        path: a ``.tflite`` or ``.onnx`` file.
        backend: ``auto`` takes the first installed one of openvino, litert, onnxruntime that reads the file.
        precision: ``auto`` is bf16 where the CPU multiplies it natively and the backend can, f32 elsewhere.
        threads: CPU threads per inference.
        cache_dir: folder for compiled networks (OpenVINO): later starts skip reading and optimising the file.

    Raises:
        EngineError: unknown backend, precision or file kind; backend not installed; file missing or damaged.
    """
    path = Path(path)
    if precision not in ("auto", "f32", "bf16"):
        raise EngineError(f"precision must be auto, f32 or bf16, got {precision!r}")
    if threads < 1:
        raise EngineError(f"threads must be at least 1, got {threads}")
    if not path.is_file():
        raise EngineError(f"network file {path} does not exist")
    name = _choose(path, backend)
    module = importlib.import_module(f"engines.{name}_backend")
    engine: Engine = module.load(path, precision=precision, threads=threads, cache_dir=cache_dir)
    return engine


def _choose(path: Path, backend: str) -> str:
    suffix = path.suffix.lower()
    readers = [name for name, (_, _, suffixes) in _BACKENDS.items() if suffix in suffixes]
    if not readers:
        raise EngineError(f"{path.name}: networks must be .tflite or .onnx files, got {path.suffix or 'no suffix'}")
    if backend == "auto":
        for name in readers:
            if _installed(name):
                return name
        raise EngineError(
            f"{path.name} needs one of {', '.join(readers)}; install one: pip install {_BACKENDS[readers[0]][1]}"
        )
    if backend not in _BACKENDS:
        raise EngineError(f"backend must be auto, {', '.join(_BACKENDS)}, got {backend!r}")
    if backend not in readers:
        raise EngineError(f"backend {backend} does not read {suffix} files; use {' or '.join(readers)}")
    if not _installed(backend):
        raise EngineError(f"backend {backend} is not installed; run: pip install {_BACKENDS[backend][1]}")
    return backend


def _installed(backend: str) -> bool:
    return importlib.util.find_spec(_BACKENDS[backend][0]) is not None
