"""Timing of the pipeline's stages: always measured, cheap enough to be."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

import numpy as np

_WINDOW = 600


class StageMetrics:
    """Durations per stage over the latest frames. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, deque[float]] = {}

    def record(self, stage: str, milliseconds: float) -> None:
        """Add one duration."""
        with self._lock:
            self._samples.setdefault(stage, deque(maxlen=_WINDOW)).append(milliseconds)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Record how long the body takes."""
        start = perf_counter_ns()
        yield
        self.record(stage, (perf_counter_ns() - start) * 1e-6)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """``{stage: {"p50": ms, "p95": ms}}`` over the latest frames, in the order in which stages first reported."""
        with self._lock:
            copies = {stage: list(samples) for stage, samples in self._samples.items()}
        return {
            stage: {"p50": round(float(np.percentile(v, 50)), 3), "p95": round(float(np.percentile(v, 95)), 3)}
            for stage, v in copies.items()
        }
