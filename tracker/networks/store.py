"""Find network files in the user's cache and load them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cache import cache_dir, sha256_of
from tracker.config import EngineName, Precision
from tracker.errors import NetworkAssetError
from tracker.networks.assets import BY_FILE, Asset

if TYPE_CHECKING:
    from engines import Engine


def store_dir() -> Path:
    """The folder network files are kept in; it need not exist."""
    return cache_dir("networks")


def is_present(asset: Asset) -> bool:
    """Whether the asset is in the store and undamaged."""
    path = store_dir() / asset.file
    return path.is_file() and sha256_of(path) == asset.sha256


def locate(file: str) -> Path:
    """The path of a network file, e.g. ``face_landmarks_detector.tflite``, after checking its hash. Downloads nothing.

    Raises:
        NetworkAssetError: it has not been fetched, or it is damaged.
    """
    asset = BY_FILE.get(file)
    if asset is None:
        raise NetworkAssetError(f"unknown network {file!r}; known: {', '.join(BY_FILE)}")
    path = store_dir() / file
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise NetworkAssetError(f"network {file} is not in {store_dir()}; run: tracker models fetch") from None
    except OSError as error:
        raise NetworkAssetError(f"network {path} cannot be read ({error.strerror}); check its permissions") from error
    if found != asset.sha256:
        raise NetworkAssetError(
            f"network {path} is damaged (sha256 {found[:12]}…, expected {asset.sha256[:12]}…); run: tracker models fetch"
        )
    return path


def open_network(
    file: str | Path, *, precision: Precision = "auto", threads: int = 1, engine: EngineName = "auto", rows: int = 1
) -> Engine:
    """Load a network of the store, or a file, into an engine, with its compiled form cached beside the store.

    Args:
        file: as in ``locate``, or a path of a .tflite or .onnx file.
        precision: ``auto`` is bf16 where the CPU multiplies it natively, f32 elsewhere.
        threads: CPU threads per inference.
        engine: what runs it; ``auto`` is the first installed of OpenVINO, LiteRT and ONNX Runtime.
        rows: crops that one run is to take at most, for the engines that take more than one: ``tensorrt`` and ``torch``.

    Raises:
        NetworkAssetError: it has not been fetched, is damaged, or no backend can run it.
    """
    path = file if isinstance(file, Path) else locate(file)
    from engines import EngineError, load_engine

    try:
        if engine in ("tensorrt", "torch"):
            return _built(path, engine, precision, threads, rows)
        if engine == "auto" and _only_onnxruntime():
            engine = "onnxruntime"
        if engine == "onnxruntime":
            path = _as_onnx(path)
        return load_engine(path, engine, precision=precision, threads=threads, cache_dir=cache_dir("engines"))
    except EngineError as error:
        raise NetworkAssetError(str(error)) from error


def _as_onnx(path: Path) -> Path:
    """The same network as ONNX. Raises EngineError."""
    from engines.tflite.convert import convert

    return convert(path) if path.suffix == ".tflite" else path


def _only_onnxruntime() -> bool:
    """Whether nothing here reads .tflite files itself, and ONNX Runtime runs what they are converted to."""
    from engines.backend import installed

    if installed("openvino") or installed("litert"):
        return False
    return installed("onnxruntime") and importlib.util.find_spec("onnx") is not None


def _built(path: Path, engine: EngineName, precision: Precision, threads: int, rows: int) -> Engine:
    """A network of the store compiled for batches. Raises EngineError."""
    from engines import EngineError
    from engines.backend import backend
    from engines.batch import BatchProfile
    from engines.build import open_engine

    capability = backend(engine).describe()
    if not capability.runs:
        raise EngineError(f"engine {engine}: {capability.why_not}")
    wanted = "fp32" if precision == "auto" else precision
    return open_engine(_as_onnx(path), engine, wanted, BatchProfile(1, 1, rows), threads=threads)
