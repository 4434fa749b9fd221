"""The learning rate as a function of how far a run has come."""

from __future__ import annotations

import math

from trainer.run_settings import LoopSettings, ScheduleSettings


def done(loop: LoopSettings, step: int, elapsed_s: float) -> float:
    """How far a run has come, 0..1: by steps, or by time where a time budget is used up faster."""
    by_time = 0.0 if loop.minutes is None else elapsed_s / max(60.0 * loop.minutes, 1e-9)
    return min(1.0, max(step / loop.steps, by_time))


def rate(schedule: ScheduleSettings, step: int, progress: float) -> float:
    """The learning rate of step number ``step`` (from 0), as a fraction of the full one.

    Args:
        schedule: its kind.
        step: for the warm-up.
        progress: ``done`` before the step, for the cosine.
    """
    warm = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    if schedule.kind == "constant":
        return warm
    return warm * (schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * progress)))
