"""How old a result is."""

from __future__ import annotations

import time

from tracker.types import FrameResult


def age_ms(result: FrameResult) -> float:
    """Milliseconds since the frame was captured; for media time, since it was read."""
    if result.clock == "CLOCK_MONOTONIC":
        return (time.monotonic_ns() - result.t_capture_ns) * 1e-6
    return (time.time_ns() - result.t_unix_ns) * 1e-6
