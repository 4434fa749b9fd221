"""Compile a network into an artifact of the cache, or take the one that is there."""

from __future__ import annotations

import hashlib
import logging
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines import backend as backends
from engines.artifact import ArtifactHeader, artifact_key, read_artifact, write_artifact
from engines.backend import BuildJob, Progress, silent
from engines.batch import BatchProfile
from engines.cache import artifact_path, scratch_dir
from engines.calibration import Calibration
from engines.engine import Engine
from engines.errors import EngineError
from engines.model import Model, read_model
from engines.precision import Precision, canonical
from engines.version import own_version

_LOGGER = logging.getLogger(__name__)


Quantiser = Callable[[], tuple[bytes, Mapping[str, Any]]]
"""Gives an .onnx file with QDQ nodes and what there is to say about it; asked only when nothing fits in the cache."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to compile a network into."""

    backend: str
    precision: Precision = "fp32"
    batch: BatchProfile = field(default_factory=BatchProfile)
    targets: tuple[str, ...] = ()
    """Devices to build for, such as ``sm86``; empty: this machine."""
    threads: int = 1
    strip_weights: bool = False
    """Leave the weights out of the artifact: it is small, and needs the .onnx file at every start. TensorRT only."""
    calibration: Calibration = field(default_factory=Calibration)
    """Matters to int8 alone."""

    def command(self, model: str) -> str:
        """What to type to get it."""
        parts = ["engines", "build", model, "--backend", self.backend, "--precision", self.precision]
        parts += [] if self.batch == BatchProfile() else ["--batch", str(self.batch)]
        parts += ["--for", ",".join(self.targets)] if self.targets else []
        parts += ["--strip-weights"] if self.strip_weights else []
        parts += self.calibration.arguments() if self.precision == "int8" else []
        return shlex.join(parts)


def build_artifact(
    model: str | Path,
    options: BuildOptions,
    *,
    force: bool = False,
    progress: Progress = silent,
    quantiser: Quantiser | None = None,
    name: str | None = None,
) -> Path:
    """The path of a compiled network, made now unless the cache has it.

    Args:
        model: an .onnx file.
        options: what to make of it.
        force: make it anew.
        progress: told what happens.
        quantiser: for int8: makes the same network with QDQ nodes, and notes for the header; see ``engines.quantise``.
        name: what to call the network in messages and commands; default: the path as given.

    Raises:
        EngineError: the file is no network, the backend cannot build it, or the cache cannot be written.
    """
    found = backends.backend(options.backend)
    suffix, kinds = Path(model).suffix.lower(), backends.TABLE[options.backend].builds
    if suffix not in kinds:
        raise EngineError(f"backend {options.backend} builds {' or '.join(kinds)} files, got {Path(model).name}")
    _check_stripping(options)
    read = read_model(Path(model))
    read.check_batch(options.batch)
    device = found.device_for(options.targets)
    capability = found.describe()
    if options.precision not in capability.precisions:
        raise EngineError(
            f"{options.backend} on {capability.device_name} does not run {options.precision}; "
            f"use {' or '.join(capability.precisions)}"
        )
    calibration = options.calibration.identity() if options.precision == "int8" else ""
    key = artifact_key(read.sha256, options.backend, capability.version, options.precision, options.batch, device,
        stripped=options.strip_weights, calibration=calibration,
    )  # fmt: skip
    target = artifact_path(read.path.stem, options.backend, options.precision, key)
    if not force and _intact(target):
        return target
    if options.precision != "int8":
        _make(read, read.path, {}, options, target, capability.version, calibration, progress, name or str(model))
        return target
    if quantiser is None:
        raise EngineError(f"{read.path.name}: int8 needs real crops to calibrate with; give --calibrate FILE.npz")
    content, notes = quantiser()
    with tempfile.TemporaryDirectory(prefix="engines-int8-") as folder:
        quantised = Path(folder) / read.path.name
        quantised.write_bytes(content)
        _make(read, quantised, notes, options, target, capability.version, calibration, progress, name or str(model))
    return target


def _check_stripping(options: BuildOptions) -> None:
    if not options.strip_weights:
        return
    if options.backend != "tensorrt":
        raise EngineError(
            f"only tensorrt builds engines without weights, not {options.backend}; leave --strip-weights out"
        )
    if options.precision == "int8":
        raise EngineError(
            "int8 engines keep their weights: quantised ones stand in no file they could be put back from; "
            "leave --strip-weights out, or use fp16"
        )


def _intact(path: Path) -> bool:
    """Whether the cache has it; one that is damaged is made anew, and that is said."""
    if not path.is_file():
        return False
    try:
        read_artifact(path)
    except EngineError as error:
        _LOGGER.warning("%s; it is built anew", str(error).partition(";")[0])
        return False
    return True


def _make(
    model: Model,
    source: Path,
    notes: Mapping[str, Any],
    options: BuildOptions,
    target: Path,
    version: str,
    calibration: str,
    progress: Progress,
    name: str,
) -> None:
    job = BuildJob(
        source,
        model.path.name,
        options.precision,
        options.batch,
        options.targets,
        options.threads,
        options.strip_weights,
        model.network,
        scratch_dir(),
        progress,
    )
    started = time.perf_counter()
    try:
        built = backends.backend(options.backend).build(job)
    except MemoryError:
        raise EngineError(
            f"{model.path.name}: out of memory while building for {options.backend}; "
            "close other programs or ask for a smaller --batch"
        ) from None
    header = ArtifactHeader(
        model=name,
        model_sha256=model.sha256,
        backend=options.backend,
        backend_version=version,
        precision=options.precision,
        batch=options.batch,
        device=built.device,
        inputs=built.inputs,
        outputs=built.outputs,
        network=model.network,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        built_by=f"facestream-tracker {own_version()}",
        build_s=round(time.perf_counter() - started, 3),
        command=options.command(name),
        weights=str(model.path.resolve()) if options.strip_weights else "",
        calibration=calibration,
        notes={**notes, **built.notes},
        payload_bytes=len(built.payload),
        payload_sha256=hashlib.sha256(built.payload).hexdigest(),
    )
    write_artifact(target, header, built.payload)


def load_artifact(path: Path, threads: int = 1) -> Engine:
    """An engine of an artifact, after checking that it is whole, of this backend version and for this device.

    Raises:
        EngineError: it is not; the message has the command that makes it anew.
    """
    header, payload = read_artifact(path)
    found = backends.backend(header.backend)
    capability = found.describe()
    if header.backend_version != capability.version:
        raise EngineError(
            f"engine {path.name} was built by {header.backend} {header.backend_version}, here is {capability.version}; "
            f"run: {header.command}"
        )
    if not capability.runs:
        raise EngineError(f"engine {path.name} cannot run here: {capability.why_not}")
    if not covers(header.device, capability.device):
        raise EngineError(
            f"engine {path.name} was built for {header.device}, this machine is {capability.device}; "
            f"run: {_for_here(header)}"
        )
    return found.load(path, header, payload, threads)


def covers(built_for: str, device: str) -> bool:
    """Whether an artifact runs here: both name devices, separated by commas; ``any`` runs wherever its backend does."""
    names = built_for.split(",")
    return "any" in names or not set(names).isdisjoint(device.split(","))


def _for_here(header: ArtifactHeader) -> str:
    return header.command.partition(" --for ")[0]


def open_engine(
    model: str | Path,
    backend: str,
    precision: str = "fp32",
    batch: BatchProfile | None = None,
    *,
    threads: int = 1,
    progress: Progress = silent,
) -> Engine:
    """Build if need be, and load.

    Raises:
        EngineError: as ``build_artifact`` and ``load_artifact``.
    """
    options = BuildOptions(backend, canonical(precision), batch or BatchProfile(), threads=threads)
    return load_artifact(build_artifact(model, options, progress=progress), threads)
