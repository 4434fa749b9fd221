"""Load a network file, or an engine that was built of one."""

from __future__ import annotations

from pathlib import Path

from engines.artifact import SUFFIX
from engines.backend import TABLE, check_installed, check_name, installed, module
from engines.engine import Engine, EngineError
from engines.precision import canonical


def load_engine(
    path: str | Path,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    cache_dir: Path | None = None,
) -> Engine:
    """Compile a network for this machine's CPU, or load an ``.engine`` that was built before.

    Args:
        path: a ``.tflite`` or ``.onnx`` file, or an ``.engine`` (for which backend and precision are settled).
        backend: ``auto`` takes the first installed one of openvino, litert, onnxruntime that reads the file.
        precision: ``auto`` is bf16 where the CPU multiplies it natively and the backend can, fp32 elsewhere.
        threads: CPU threads per inference.
        cache_dir: folder for compiled networks (OpenVINO): later starts skip reading and optimising the file.

    Raises:
        EngineError: unknown backend, precision or file kind; backend not installed; file missing or damaged; an
            engine that is stale or for another machine.
    """
    path = Path(path)
    wanted = precision if precision == "auto" else canonical(precision)
    if wanted not in ("auto", "fp32", "bf16") and path.suffix != SUFFIX:
        raise EngineError(
            f"{path.name} is loaded in fp32 or bf16; for {wanted} run: engines build {path.name} --precision {wanted}"
        )
    if threads < 1:
        raise EngineError(f"threads must be at least 1, got {threads}")
    if not path.is_file():
        raise EngineError(f"network file {path} does not exist")
    if path.suffix == SUFFIX:
        from engines.build import load_artifact

        return load_artifact(path, threads)
    name = _choose(path, backend)
    engine: Engine = module(name).load_model(path, precision=wanted, threads=threads, cache_dir=cache_dir)
    return engine


def _choose(path: Path, backend: str) -> str:
    suffix = path.suffix.lower()
    readers = [name for name, entry in TABLE.items() if suffix in entry.reads]
    if not readers:
        raise EngineError(f"{path.name}: networks must be .tflite or .onnx files, got {path.suffix or 'no suffix'}")
    if backend == "auto":
        for name in readers:
            if installed(name):
                return name
        raise EngineError(
            f"{path.name} needs one of {', '.join(readers)}; install one: pip install {TABLE[readers[0]].install}"
        )
    check_name(backend)
    if backend not in readers:
        raise EngineError(f"backend {backend} does not read {suffix} files; use {' or '.join(readers)}")
    check_installed(backend)
    return backend
