"""Compiled networks on disk: one file each, a JSON header and the backend's bytes.

Layout: 8 bytes ``FSENGINE``, a little-endian uint32 with the header's length, the header as UTF-8 JSON, the payload.
The header holds the payload's length and sha256, so that a file cut short or changed is refused before a backend sees it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.batch import BatchProfile
from engines.engine import TensorSpec
from engines.errors import EngineError
from engines.header import NetworkHeader, from_dict

MAGIC: Final = b"FSENGINE"
FORMAT: Final = 1
SUFFIX: Final = ".engine"
_LONGEST_HEADER: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class ArtifactHeader:
    """Everything about a compiled network that can be known without its backend."""

    model: str
    """What to give ``engines build`` to make it again: a path or a network's name."""
    model_sha256: str
    backend: str
    backend_version: str
    precision: str
    batch: BatchProfile
    device: str
    """What it runs on, as the backend names it; it runs nowhere else."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    network: NetworkHeader | None = None
    built_at: str = ""
    """UTC, ISO 8601."""
    built_by: str = ""
    """Name and version of this program."""
    build_s: float = 0.0
    command: str = ""
    """The command that makes it again."""
    weights: str = ""
    """The .onnx file that has the weights, where they were left out; they are put back from it when this is loaded."""
    calibration: str = ""
    """Of int8 engines: ``engines.calibration.Calibration.identity``."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the backend, calibration and accuracy gate have to tell; plain values."""
    payload_bytes: int = 0
    payload_sha256: str = ""
    format: int = FORMAT

    def key(self) -> str:
        """Changes with everything that makes another artifact necessary."""
        return artifact_key(
            self.model_sha256,
            self.backend,
            self.backend_version,
            self.precision,
            self.batch,
            self.device,
            stripped=bool(self.weights),
            calibration=self.calibration,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        plain = asdict(self)
        plain["batch"] = list(self.batch)
        for ports in ("inputs", "outputs"):
            plain[ports] = [
                {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype.name}
                for spec in getattr(self, ports)
            ]
        plain["network"] = None if self.network is None else self.network.as_dict()
        return plain


def artifact_key(
    model_sha256: str,
    backend: str,
    backend_version: str,
    precision: str,
    batch: BatchProfile,
    device: str,
    *,
    stripped: bool = False,
    calibration: str = "",
) -> str:
    """Twenty hexadecimal digits that name an artifact."""
    parts: tuple[Any, ...] = (model_sha256, backend, backend_version, precision, str(batch), device, FORMAT)
    parts += ("without weights",) if stripped else ()
    parts += (calibration,) if calibration else ()
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def write_artifact(path: Path, header: ArtifactHeader, payload: bytes) -> None:
    """Write both, whole or not at all. Sets nothing: the header's payload fields must be right.

    Raises:
        EngineError: the file cannot be written.
    """
    text = json.dumps(header.as_dict(), ensure_ascii=False).encode()
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as opened:
            opened.write(MAGIC + struct.pack("<I", len(text)) + text)
            opened.write(payload)
        partial.replace(path)
    except OSError as error:
        raise EngineError(
            f"cannot write {path} ({error.strerror}); free some space or set TRACKER_CACHE to another folder"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def read_header(path: Path) -> ArtifactHeader:
    """The header alone; the payload is not looked at.

    Raises:
        EngineError: the file is missing, no artifact, of another format, or cut short within the header.
    """
    try:
        with path.open("rb") as opened:
            return _read_header(path, opened.read(len(MAGIC) + 4), opened.read)
    except OSError as error:
        raise EngineError(f"engine {path} cannot be read ({error.strerror})") from error


def read_artifact(path: Path) -> tuple[ArtifactHeader, bytes]:
    """Header and payload.

    Raises:
        EngineError: as ``read_header``, or the payload is not the one that was written.
    """
    try:
        with path.open("rb") as opened:
            header = _read_header(path, opened.read(len(MAGIC) + 4), opened.read)
            payload = opened.read()
    except OSError as error:
        raise EngineError(f"engine {path} cannot be read ({error.strerror})") from error
    if len(payload) != header.payload_bytes or hashlib.sha256(payload).hexdigest() != header.payload_sha256:
        raise EngineError(f"engine {path} is damaged; run: {header.command} --force")
    return header, payload


def _read_header(path: Path, start: bytes, read: Any) -> ArtifactHeader:
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + 4:
        raise EngineError(f"{path} is not an engine of this program; make one: engines build MODEL.onnx")
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    text = read(length) if length <= _LONGEST_HEADER else b""
    try:
        plain = json.loads(text)
    except ValueError:
        raise EngineError(f"engine {path} is damaged; build it again: engines build MODEL.onnx --force") from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else None
        command = plain.get("command", "engines build MODEL.onnx") if isinstance(plain, dict) else ""
        raise EngineError(f"engine {path} has format {found}, this version reads {FORMAT}; run: {command} --force")
    try:
        return _header(plain, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EngineError(f"engine {path} has a damaged header ({error}); build it again with --force") from None


def _header(plain: dict[str, Any], path: Path) -> ArtifactHeader:
    network = plain.pop("network")
    batch = plain.pop("batch")
    ports = {name: tuple(_spec(port) for port in plain.pop(name)) for name in ("inputs", "outputs")}
    return ArtifactHeader(
        **plain,
        batch=BatchProfile(*batch),
        inputs=ports["inputs"],
        outputs=ports["outputs"],
        network=None if network is None else from_dict(network, path.name),
    )


def _spec(port: dict[str, Any]) -> TensorSpec:
    return TensorSpec(port["name"], tuple(port["shape"]), np.dtype(port["dtype"]))
