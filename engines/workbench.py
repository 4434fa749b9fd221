"""A network with everything that building, checking and measuring it needs: real inputs, its int8 form, its engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines import backend as backends
from engines.backend import Capability, Progress, silent
from engines.batch import BatchProfile
from engines.build import BuildOptions, build_artifact, load_artifact
from engines.calibration import DEFAULT_ROWS, Calibration
from engines.engine import Array, Engine
from engines.errors import EngineError
from engines.feeds import real_inputs
from engines.model import Model, read_model
from engines.precision import PRECISIONS, Precision
from engines.quantise import AccuracyError, Limits, Quantised, quantise
from engines.resolve import Resolved, resolve
from engines.state import capability_of

REFERENCE: Final[tuple[str, Precision]] = ("onnxruntime", "fp32")
"""Backend and precision that the others are compared with."""


class Workbench:
    """See the module."""

    def __init__(
        self,
        name: str,
        *,
        calibrate: Path | None = None,
        limits: Limits | None = None,
        rows: int = DEFAULT_ROWS,
        threads: int = 1,
        progress: Progress = silent,
        backends: tuple[str, ...] = (),
    ) -> None:
        """Find and read a network.

        Args:
            name: a file, or the name of a network that a catalogue knows.
            calibrate: an .npz with real inputs; None: what the catalogues have.
            limits: how far int8 may be from fp32.
            rows: real inputs to use.
            threads: CPU threads per run.
            progress: told what happens.
            backends: the only ones to look at; none: all that are installed.

        Raises:
            EngineError: there is no such network, or it cannot be read.
        """
        self.resolved: Resolved = resolve(name)
        self.model: Model = read_model(self.resolved.path)
        self.limits = limits or Limits()
        self.progress = progress
        self._calibrate = calibrate
        self._rows = rows
        self._threads = threads
        self._backends = backends

    @cached_property
    def inputs(self) -> dict[str, Array]:
        """Real inputs, ready for the network. Raises EngineError when there are none."""
        self.progress("gathering real inputs", None)
        return real_inputs(self.resolved, self.model, self._rows, self._calibrate)

    def noise(self, rows: int) -> dict[str, Array]:
        """Inputs that mean nothing, 0..1: enough to measure time with."""
        rng = np.random.default_rng(0)
        specs = [port.with_rows(rows) for port in self.model.inputs]
        return {spec.name: rng.random(spec.shape).astype(spec.dtype) for spec in specs}

    @cached_property
    def _outcome(self) -> Quantised | AccuracyError:
        """A refusal holds for every backend, so it is remembered too."""
        try:
            return quantise(self.model, self.inputs, self.limits, self.progress, self.resolved.name)
        except AccuracyError as error:
            return error

    def build(self, options: BuildOptions, force: bool = False) -> Path:
        """The path of an engine. Raises EngineError."""
        calibration = Calibration(self._calibrate, self._rows, self.limits.mean_px)
        return build_artifact(
            self.resolved.path,
            replace(options, calibration=calibration),
            force=force,
            progress=self.progress,
            quantiser=self._qdq,
            name=self.resolved.name,
        )

    def _qdq(self) -> tuple[bytes, Mapping[str, Any]]:
        if isinstance(self._outcome, AccuracyError):
            raise self._outcome
        return self._outcome.model, self._outcome.notes

    def engine(self, backend: str, precision: Precision, batch: BatchProfile) -> Engine:
        """Built if need be, and loaded. Raises EngineError."""
        options = BuildOptions(backend, precision, batch, threads=self._threads)
        return load_artifact(self.build(options), self._threads)

    def candidates(self, precisions: tuple[str, ...] = PRECISIONS) -> list[tuple[str, Precision]]:
        """Backends and precisions that can run this kind of file here, the reference first if it can."""
        found: list[tuple[str, Precision]] = []
        for name in runnable(self.resolved.path.suffix):
            if self._backends and name not in self._backends:
                continue
            capability = capability_of(name)
            assert isinstance(capability, Capability)
            found += [(name, some) for some in PRECISIONS if some in capability.precisions and some in precisions]
        return sorted(found, key=lambda pair: pair != REFERENCE)


def runnable(suffix: str) -> list[str]:
    """Backends that build files of this kind and run them on this machine."""
    found = []
    for name, entry in backends.TABLE.items():
        if suffix.lower() in entry.builds and backends.installed(name):
            capability = capability_of(name)
            if not isinstance(capability, EngineError) and capability.runs:
                found.append(name)
    return found
