"""The settings of a run: those that every method shares. A method's own stand beside them under ``method``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainer.settings import Settings, ranged


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """AdamW or SGD; vectors (biases, norms) do not decay."""

    kind: Literal["adamw", "sgd"] = "adamw"
    lr: float = ranged(1e-3, 1e-9, 100.0)
    weight_decay: float = ranged(1e-2, 0.0, 10.0)
    momentum: float = ranged(0.9, 0.0, 1.0)
    """SGD's; AdamW's first beta."""
    beta2: float = ranged(0.999, 0.0, 1.0)
    clip_norm: float | None = ranged(1.0, 1e-6, 1e9)
    """Gradients longer than this are shortened to it; none: they are left alone."""


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """How the learning rate goes from step to step."""

    kind: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = ranged(0, 0)
    """Steps over which the rate climbs from 0."""
    final: float = ranged(0.01, 0.0, 1.0)
    """What is left at the end of a cosine, as a fraction."""


@dataclass(frozen=True)
class LoopSettings(Settings):
    """How long, how wide, how often."""

    steps: int = ranged(1000, 1)
    minutes: float | None = ranged(None, 0.0)
    """Time for training: whichever of steps and minutes is used up first ends it, and the schedule follows it."""
    accumulate: int = ranged(1, 1, 4096)
    """Batches whose gradients make one step."""
    ema: float | None = ranged(None, 0.0, 1.0)
    """Decay of the weights' moving average, which is then what is evaluated and exported."""
    settle_batches: int = ranged(16, 0, 4096)
    """Training batches over which statistics of batch normalisation are taken anew before each evaluation; 0: running ones."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    """torch.compile: pays on GPUs, in long runs."""
    log_every: int = ranged(10, 1)
    evaluate_every: int = ranged(500, 1)
    checkpoint_every: int = ranged(500, 1)


@dataclass(frozen=True)
class MachineSettings(Settings):
    """Where it runs."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int | None = ranged(None, 1, 1024)
    """CPU threads of torch; none: torch decides."""
    find_unused_parameters: bool = False
    """With several processes: look in each step for weights that had no part in the loss, which would otherwise end the run."""
    workers: int = ranged(0, 0, 256)
    """Processes that make batches; 0: one thread beside the training."""
    prefetch: int = ranged(2, 1, 64)
    """Batches each worker keeps ready."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """Everything but the method's own."""

    seed: int = ranged(0, 0, 2**31 - 1)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
