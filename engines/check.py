"""Whether engines compute what the network says: against fp32 on ONNX Runtime, whatever the batch, every time the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engines.accuracy import Deviation, deviations, run_rows
from engines.batch import BatchProfile
from engines.engine import Array, Engine
from engines.errors import EngineError
from engines.precision import Precision
from engines.quantise import AccuracyError, Limits
from engines.workbench import REFERENCE, Workbench

EXACT = Limits(mean_px=0.01, relative=1e-3)
"""What fp32 may deviate between backends: the order of additions."""
BATCH_SLACK = 1e-3
"""What the rest of a batch may change in a row, relative to the output's spread; kernels are chosen by size."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Of one backend and precision."""

    backend: str
    precision: Precision
    table: list[Deviation] = field(default_factory=list)
    batch_difference: float = 0.0
    """Largest difference of a row alone and within a batch, relative to the output's spread; NaN for a fixed batch."""
    deterministic: bool = True
    """Whether a second run gave the same bits."""
    failures: tuple[str, ...] = ()


def check(bench: Workbench, precisions: tuple[str, ...], batch: BatchProfile) -> list[Checked]:
    """Every installed backend in every precision it has.

    Raises:
        EngineError: there is nothing to compare with: onnxruntime is missing, or has no real inputs.
    """
    reference = run_rows(bench.engine(*REFERENCE, BatchProfile()), bench.inputs)
    found = []
    for backend, precision in bench.candidates(precisions):
        bench.progress(f"{backend} {precision}", None)
        try:
            found.append(_checked(bench, backend, precision, batch, reference))
        except AccuracyError as error:
            found.append(Checked(backend, precision, error.table, failures=(str(error),)))
        except EngineError as error:
            found.append(Checked(backend, precision, failures=(str(error),)))
    return found


def _checked(
    bench: Workbench, backend: str, precision: Precision, batch: BatchProfile, reference: Mapping[str, Array]
) -> Checked:
    batch = batch if bench.model.open_batch else BatchProfile()
    engine = bench.engine(backend, precision, batch)
    outputs = run_rows(engine, bench.inputs)
    table = deviations(bench.model.network, reference, outputs)
    again = run_rows(engine, bench.inputs)
    deterministic = all(np.array_equal(outputs[name], again[name]) for name in outputs)
    difference = _batch_difference(engine, bench.inputs, outputs)
    limits = EXACT if precision == "fp32" else bench.limits
    failures = [
        f"{found.what} {found.mean:.3g} {found.unit}, allowed {limits.mean_px if found.unit == 'px' else limits.relative:g}"
        for found in table
        if limits.broken_by(found)
    ]
    if precision == "fp32" and difference > BATCH_SLACK:
        failures.append(f"a row changes by {difference:.2g} with its batch")
    if not deterministic:
        failures.append("two runs differ")
    return Checked(backend, precision, table, difference, deterministic, tuple(failures))


def _batch_difference(engine: Engine, inputs: Mapping[str, Array], whole: Mapping[str, Array]) -> float:
    if engine.batch.fixed:
        return float("nan")
    few = {name: array[: 2 * engine.batch.maximum] for name, array in inputs.items()}
    alone = run_rows(engine, few, engine.batch.minimum)
    return max(
        float(np.abs(alone[name] - whole[name][: len(alone[name])]).max()) / max(float(np.std(whole[name])), 1e-6)
        for name in alone
    )
