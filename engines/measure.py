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

    p50_ms: float
    p95_ms: float
    runs: int
    ratio: float
    """This one's time over the first engine's: the median over rounds."""


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
    times: list[list[float]] = []
    ends = time.perf_counter() + budget_s
    while len(times) < 5 or time.perf_counter() < ends:
        times.append([_timed(engine, rows) for engine in engines])
    table = np.array(times) * 1e3
    ratios = np.median(table / table[:, :1], axis=0)
    return [
        Timing(
            float(np.percentile(table[:, i], 50)), float(np.percentile(table[:, i], 95)), len(table), float(ratios[i])
        )
        for i in range(len(engines))
    ]


def _timed(engine: Engine, rows: int) -> float:
    started = time.perf_counter()
    engine.run(rows)
    return time.perf_counter() - started
