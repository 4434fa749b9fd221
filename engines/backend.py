"""What a backend's module offers, and the table of backends.

A backend is a module ``engines/NAME_backend.py`` with the functions of ``Backend`` at its top level. It is imported when
it is first used; which libraries it needs stands in the table here, so that what is missing can be told without it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

from engines.artifact import ArtifactHeader
from engines.batch import BatchProfile
from engines.engine import Engine, TensorSpec
from engines.errors import EngineError
from engines.header import NetworkHeader

Progress = Callable[[str, float | None], None]
"""Told what is being done and, where it can be known, how far it is (0..1)."""


def silent(step: str, done: float | None = None) -> None:
    """Progress that nobody watches."""


class Capability(NamedTuple):
    """What a backend can do on this machine."""

    version: str
    """The library's version: an artifact of another one is stale."""
    device: str
    """Names of the devices here as artifacts carry them, separated by commas (``cpu-1f2e``, ``sm86``); devices that differ
    in a way that matters to compiled code have different names."""
    device_name: str
    """The same for people, such as ``AMD EPYC``."""
    precisions: tuple[str, ...]
    """What networks can run in here, fp32 first."""
    runs: bool
    """Whether engines can be executed here; else they can only be built."""
    why_not: str = ""
    """Where they cannot: the reason, on one line."""


@dataclass(frozen=True, slots=True)
class BuildJob:
    """What a backend is to compile. For int8 the model is quantised already (QDQ nodes)."""

    model: Path
    """An .onnx file (or what else the backend reads, see the table)."""
    name: str
    """The network's name, for messages."""
    precision: str
    """One of ``PRECISIONS``, never ``auto``."""
    batch: BatchProfile
    targets: tuple[str, ...] = ()
    """Devices to build for, such as ``sm86``; empty: this machine."""
    threads: int = 1
    strip_weights: bool = False
    """Leave the weights out; they are put back from the model when the artifact is loaded. TensorRT only."""
    network: NetworkHeader | None = None
    scratch: Path = Path()
    """A folder that stays, for timing caches and the like."""
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Built:
    """What came out."""

    payload: bytes
    device: str
    """What it runs on: ``Capability.device``, or the targets."""
    inputs: tuple[TensorSpec, ...]
    """With ``batch.maximum`` rows."""
    outputs: tuple[TensorSpec, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """The functions of a backend's module."""

    def describe(self) -> Capability:
        """What this machine can do. Raises EngineError when the library does not load."""

    def device_for(self, targets: tuple[str, ...]) -> str:
        """The name artifacts for ``targets`` carry as their device; empty: this machine's. Raises EngineError for others."""

    def build(self, job: BuildJob) -> Built:
        """Compile. Raises EngineError: not a network, an operator that is not supported, out of memory."""

    def load(self, path: Path, header: ArtifactHeader, payload: bytes, threads: int) -> Engine:
        """An engine of an artifact whose hash, version and device have been checked. Raises EngineError."""


class Entry(NamedTuple):
    """A row of the table."""

    modules: tuple[str, ...]
    """Any of these must be importable."""
    install: str
    """What to give pip."""
    reads: tuple[str, ...]
    """File kinds it loads without building."""
    builds: tuple[str, ...]
    """File kinds it builds artifacts of."""


TABLE: Final[dict[str, Entry]] = {
    "openvino": Entry(("openvino",), "openvino", (".tflite", ".onnx"), (".onnx",)),
    "litert": Entry(("ai_edge_litert",), "ai-edge-litert", (".tflite",), ()),
    "onnxruntime": Entry(("onnxruntime",), "onnxruntime", (".onnx",), (".onnx",)),
    "tensorrt": Entry(("tensorrt", "tensorrt_rtx"), "'facestream-tracker[tensorrt]'", (), (".onnx",)),
    "torch": Entry(("torch",), "'facestream-tracker[torch]'", (), (".pt2", ".onnx")),
}
"""Backend -> what it needs and reads, the preferred ones first."""


def installed(name: str) -> bool:
    """Whether one of the libraries a backend needs can be imported; it is not."""
    return any(importlib.util.find_spec(module) is not None for module in TABLE[name].modules)


def check_name(name: str) -> None:
    """Raises EngineError when there is no backend of that name."""
    if name not in TABLE:
        raise EngineError(f"backend must be auto, {', '.join(TABLE)}, got {name!r}")


def check_installed(name: str) -> None:
    """Raises EngineError with the line that installs it."""
    if not installed(name):
        raise EngineError(f"backend {name} is not installed; run: pip install {TABLE[name].install}")


def module(name: str) -> Any:
    """A backend's module. Raises EngineError when it is unknown or not installed."""
    check_name(name)
    check_installed(name)
    return importlib.import_module(f"engines.{name}_backend")


def backend(name: str) -> Backend:
    """The same as something that builds. Raises EngineError also when the backend builds nothing."""
    found = module(name)
    if not TABLE[name].builds:
        raise EngineError(f"backend {name} builds no engines; use {', '.join(n for n, e in TABLE.items() if e.builds)}")
    return cast(Backend, found)
