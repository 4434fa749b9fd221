"""Times of work on the GPU, and of calls that wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from engines.cuda.device import Device


def on_device_ms(device: Device, stream: int, work: Callable[[], None], repeats: int = 50) -> float:
    """Median milliseconds that the GPU spends on what ``work`` begins on ``stream``."""
    start, end = device.events()
    for _ in range(5):
        work()
    device.wait(stream)
    taken = []
    for _ in range(repeats):
        device.mark(start, stream)
        work()
        device.mark(end, stream)
        taken.append(device.elapsed_ms(start, end))
    return float(np.median(taken))


def wall_ms(work: Callable[[], object], repeats: int = 100) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that calls take which wait for the GPU."""
    for _ in range(10):
        work()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter_ns()
        work()
        taken.append((time.perf_counter_ns() - begun) * 1e-6)
    return float(np.median(taken)), float(np.percentile(taken, 95))
