"""Every backend, precision and batch of a network, measured side by side."""

from __future__ import annotations

import logging
import os
import platform
from datetime import UTC, datetime
from typing import Any

from engines.batch import BatchProfile
from engines.engine import Engine
from engines.errors import EngineError
from engines.measure import measure
from engines.workbench import Workbench

_LOGGER = logging.getLogger(__name__)


def bench_network(
    bench: Workbench, precisions: tuple[str, ...], sizes: list[int], seconds: float
) -> list[dict[str, Any]]:
    """One row per engine and batch: plain values; engines that cannot be built have a ``note`` instead of times.

    Every size has an engine of its own, compiled for exactly that many rows.
    """
    rows: list[dict[str, Any]] = []
    try:
        given = bench.inputs
    except EngineError as error:
        _LOGGER.warning("%s is measured with noise: %s", bench.resolved.name, error)
        given = bench.noise(max(sizes))
    for size in sizes if bench.model.open_batch else [1]:
        engines: list[Engine] = []
        made: list[dict[str, Any]] = []
        for backend, precision in bench.candidates(precisions):
            row = {"network": bench.resolved.name, "backend": backend, "precision": precision, "batch": size}
            rows.append(row)
            try:
                engines.append(bench.engine(backend, precision, BatchProfile(size, size, size)))
                made.append(row)
            except EngineError as error:
                row["note"] = str(error)
        if not engines:
            continue
        bench.progress(f"measuring batch {size}", None)
        for row, timing in zip(made, measure(engines, [given] * len(engines), size, seconds), strict=True):
            row |= {"p50_ms": timing.p50_ms, "p95_ms": timing.p95_ms, "row_ms": timing.p50_ms / size}
            row |= {"cpu_ms": timing.cpu_ms, "ratio": timing.ratio, "cpu_ratio": timing.cpu_ratio, "runs": timing.runs}
    return rows


def machine() -> dict[str, str]:
    """What was measured on."""
    return {
        "machine": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as opened:
            for line in opened:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
