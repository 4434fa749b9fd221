"""How long engines take, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.engine import Array, Engine

_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one engine at one number of rows, milliseconds per run."""

    p10_ms: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    """Processor time of the whole process, the median; what other programs take is not in it."""
    runs: int
    ratio: float
    """This one's time over the first engine's: the median over rounds."""
    cpu_ratio: float
    """The same of processor time; NaN where the first took none."""


def measure(
    engines: Sequence[Engine], inputs: Sequence[Mapping[str, Array]], rows: int, budget_s: float
) -> list[Timing]:
    """Run engines in turn, round by round, so that what else the machine does falls on all of them alike.

    Args:
        engines: the first one is what the others are compared with.
        inputs: real inputs of each by name; the first ``rows`` rows are run (repeated where there are fewer).
        rows: rows per run.
        budget_s: time for all together; at least five rounds are run.
    """
    for engine, given in zip(engines, inputs, strict=True):
        for name, array in given.items():
            engine.buffers[name][:rows] = array[np.arange(rows) % len(array)]
        for _ in range(_WARM_UP):
            engine.run(rows)
    times: list[list[tuple[float, float]]] = []
    ends = time.perf_counter() + budget_s
    while len(times) < 5 or time.perf_counter() < ends:
        times.append([_timed(engine, rows) for engine in engines])
    wall, processor = (np.array(times) * 1e3).transpose(2, 0, 1)
    made = []
    for index in range(len(engines)):
        low, middle, high = (float(share) for share in np.percentile(wall[:, index], (10, 50, 95)))
        used = float(np.median(processor[:, index]))
        ratio, cpu_ratio = (_ratio(kind[:, index], kind[:, 0]) for kind in (wall, processor))
        made.append(Timing(low, middle, high, used, len(times), ratio, cpu_ratio))
    return made


def _ratio(own: Array, first: Array) -> float:
    counted = first > 0
    return float(np.median(own[counted] / first[counted])) if counted.any() else float("nan")


def _timed(engine: Engine, rows: int) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    used, started = time.process_time(), time.perf_counter()
    engine.run(rows)
    return time.perf_counter() - started, time.process_time() - used
