"""The loop: steps, schedule, average, evaluation, checkpoints; the same for every method and machine."""

from __future__ import annotations

import contextlib
import math
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import nn

from trainer import checkpoint as checkpoints
from trainer.batch_statistics import normalised, settle
from trainer.checkpoint import Checkpoint
from trainer.data.loader import batches
from trainer.data.stream import Stream
from trainer.errors import CheckpointError, TrainingError
from trainer.evaluation import evaluate
from trainer.interrupts import interrupts
from trainer.journal import Journal
from trainer.method import Method, Streams, Table
from trainer.report import write_report
from trainer.run_folder import RunFolder
from trainer.run_settings import RunSettings
from trainer.schedule import done, rate
from trainer.stepper import Stepper, Sums
from trainer.watch import Watcher

Ending = Literal["finished", "time is up", "interrupted", "stopped"]


@dataclass(slots=True)
class Outcome:
    """How a call of ``fit`` ended."""

    ending: Ending
    step: int
    best: float
    table: Table | None
    """Of the last evaluation in this call, in the first process."""
    images_per_s: float


class Training:
    """One run in this process.

    Args:
        run: its folder; only the first process writes.
        method: what is trained.
        settings: what every method shares.
        fabric: launched.
        watcher: told what happens.
    """

    def __init__(
        self, run: RunFolder, method: Method[Any], settings: RunSettings, fabric: Fabric, watcher: Watcher | None = None
    ) -> None:
        self._run, self._method, self._settings, self.fabric = run, method, settings, fabric
        self._watcher = watcher if watcher is not None and fabric.is_global_zero else Watcher()
        self._stepper = Stepper(method, settings, fabric)
        self._step = 0
        self._images = 0
        self._elapsed_s = 0.0
        self._best = math.inf
        self._stop = threading.Event()

    @property
    def deployable(self) -> nn.Module:
        """The network with the weights that are evaluated: the moving average, if there is one."""
        return self._stepper.deployable

    def restore_weights(self, checkpoint: Checkpoint) -> None:
        """Take the network and its average from a checkpoint. Raises ``CheckpointError`` when it is of another network."""
        self._stepper.restore_weights(checkpoint)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises ``CheckpointError`` when it is of another network or number of processes."""
        self._stepper.restore_weights(checkpoint)
        self._stepper.restore_optimiser(checkpoint)
        if len(checkpoint.random) != self.fabric.world_size:
            raise CheckpointError(
                f"the run was made by {len(checkpoint.random)} processes and goes on exactly with as many; "
                f"got {self.fabric.world_size}"
            )
        self.fabric.strategy.precision.load_state_dict(checkpoint.precision)
        self._step, self._images = checkpoint.step, checkpoint.images
        self._elapsed_s, self._best = checkpoint.elapsed_s, checkpoint.best
        checkpoints.set_random_state(checkpoint.random[self.fabric.global_rank])
        if self.fabric.is_global_zero:
            self._run.forget_after(self._step)

    def fit(self, until: int | None = None) -> Outcome:
        """Train until steps or time are used up, Ctrl-C, or step number ``until``; leaves a checkpoint in every case.

        Raises:
            TrainingError: a loss is not finite. Checkpoints stay as they were before.
            CheckpointError: a checkpoint cannot be written.
        """
        loop, machine = self._settings.loop, self._settings.machine
        streams = self._method.streams()
        self._watcher.started(self._step, loop.steps)
        first_step, first_image, before_s = self._step, self._images, self._elapsed_s
        table: Table | None = None
        evaluated = -1
        began = time.monotonic()
        paused_s = 0.0
        sums = Sums()
        ending: Ending | None = None
        with (
            interrupts(self._stop),
            batches(streams.train, self._indices(), machine.workers, machine.prefetch, self._on_gpu) as source,
            contextlib.closing(Journal(self._run if self.fabric.is_global_zero else None)) as journal,
        ):
            journal.session(self._step, self._machine())
            while (ending := self._ending(until)) is None:
                progress = done(loop, self._step, self._elapsed_s)
                scale = rate(self._settings.schedule, self._step, progress)
                images = self._stepper.step(source, scale, sums)
                self._step += 1
                self._images += images
                self._elapsed_s = before_s + time.monotonic() - began - paused_s
                if self._step % loop.log_every == 0 or self._step == first_step + 1:
                    values = self._checked_means(sums) | {"lr": scale * self._settings.optimiser.lr}
                    journal.scalars(self._step, values, self._elapsed_s)
                    self._watcher.logged(self._step, values)
                    sums = Sums()
                self._watcher.stepped(self._step, *self._forecast(before_s, first_step))
                paused = time.monotonic()
                if self._step % loop.evaluate_every == 0 and self._step < loop.steps:
                    self._checked_means(sums)
                    table, evaluated = self._evaluate(streams, journal), self._step
                    sums.began += time.monotonic() - paused
                if self._step % loop.checkpoint_every == 0:
                    self._checked_means(sums)
                    self.save()
                paused_s += time.monotonic() - paused
            self._checked_means(sums)
            self.save()
            if ending in ("finished", "time is up") and evaluated != self._step:
                table = self._evaluate(streams, journal)
                self.save()
        if self.fabric.is_global_zero:
            write_report(self._run)
        spent = max(self._elapsed_s - before_s, 1e-9)
        images_per_s = (self._images - first_image) / spent
        return Outcome(ending, self._step, self._best, table, images_per_s)

    def save(self) -> None:
        """Write the checkpoint ``last.pt``."""
        self._write_checkpoint("last")

    def _machine(self) -> dict[str, Any]:
        """For the report."""
        trained = sum(p.numel() for p in self._stepper.module.parameters() if p.requires_grad)
        name = torch.cuda.get_device_name(self.fabric.device) if self._on_gpu else f"CPU ({platform.machine()})"
        return {
            "device": name,
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
            "parameters": trained,
        }

    @property
    def _on_gpu(self) -> bool:
        return self.fabric.device.type == "cuda"

    def _indices(self) -> Iterator[int]:
        """Numbers of this process's batches from here on: steps, then accumulated batches, then processes."""
        world = self.fabric.world_size
        index = self._step * self._settings.loop.accumulate * world + self.fabric.global_rank
        while True:
            yield index
            index += world

    def _checked_means(self, sums: Sums) -> dict[str, float]:
        """Means over all processes. Raises ``TrainingError`` when one is not finite."""
        if not sums.count:
            return {}
        values = sums.means(self.fabric)
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            kept = f"{self._run.last} holds the last good state" if self._run.last.exists() else "nothing was saved yet"
            raise TrainingError(
                f"{', '.join(broken)} became NaN or infinite within {sums.count} batches of step {self._step}; "
                f"try a smaller optimiser.lr; {kept}"
            )
        if self._on_gpu:
            values["gpu_peak_mb"] = torch.cuda.max_memory_allocated(self.fabric.device) / 1e6
        values["images_per_s"] = sums.images_per_s
        return values

    def _evaluate(self, streams: Streams, journal: Journal) -> Table | None:
        """Metrics by the first process while the others wait; the best so far is kept."""
        table: Table | None = None
        if self.fabric.is_global_zero:
            with checkpoints.untouched_random_state():
                self._settle(streams.train)
                table, pictures = evaluate(self._method, self.deployable, streams.validation, self.fabric)
            row, metric = self._method.best
            score = table.rows[row][metric]
            journal.evaluation(self._step, table, pictures)
            best = score < self._best
            self._best = min(self._best, score if math.isfinite(score) else math.inf)
            self._watcher.evaluated(self._step, table, best)
        better: bool = self.fabric.broadcast(table is not None and best)
        self._best = self.fabric.broadcast(self._best)
        if better:
            self._write_checkpoint("best")
        return table

    def _settle(self, stream: Stream) -> None:
        """Batch normalisation's statistics for the weights that are evaluated and exported, over the last batches."""
        count = min(self._settings.loop.settle_batches, self._step)
        module = self.deployable
        # A moving average is never in training mode itself; what a method keeps out of it shows in the module.
        for copied, original in zip(module.modules(), self._stepper.module.modules(), strict=True):
            copied.training = original.training
        if count and normalised(module):
            seen = (stream.batch(index).to(self.fabric.device) for index in range(self._step - count, self._step))
            with self.fabric.autocast():
                settle(module, seen, self._method.step)

    def _write_checkpoint(self, kind: Literal["last", "best"]) -> None:
        states = self._gathered(checkpoints.random_state())
        if self.fabric.is_global_zero:
            written = Checkpoint(
                method=self._method.name,
                settings=self._settings.plain() | {"method": self._method.settings.plain()},
                step=self._step,
                images=self._images,
                elapsed_s=self._elapsed_s,
                best=self._best,
                module=self._stepper.module.state_dict(),
                optimiser=self._stepper.optimiser.state_dict(),
                average=None if self._stepper.average is None else self._stepper.average.state_dict(),
                precision=self.fabric.strategy.precision.state_dict(),
                random=states,
            )
            checkpoints.save(written, self._run.last if kind == "last" else self._run.best)
        self.fabric.barrier()

    def _gathered(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        if self.fabric.world_size == 1:
            return [value]
        values: list[dict[str, Any]] = [{} for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather_object(values, value)
        return values

    def _ending(self, until: int | None) -> Ending | None:
        """Why to stop before the next step; the same answer in every process."""
        loop = self._settings.loop
        stop, elapsed_s = self._stop.is_set(), self._elapsed_s
        if self.fabric.world_size > 1:
            agreed = torch.tensor([float(stop), elapsed_s], device=self.fabric.device, dtype=torch.float64)
            torch.distributed.all_reduce(agreed, torch.distributed.ReduceOp.MAX)
            stop, elapsed_s = bool(agreed[0]), float(agreed[1])
            self._elapsed_s = elapsed_s
        if self._step >= loop.steps:
            return "finished"
        if loop.minutes is not None and elapsed_s >= 60.0 * loop.minutes:
            return "time is up"
        if stop:
            return "interrupted"
        return "stopped" if until is not None and self._step >= until else None

    def _forecast(self, before_s: float, first_step: int) -> tuple[float, float | None]:
        loop = self._settings.loop
        fraction = done(loop, self._step, self._elapsed_s)
        per_step = (self._elapsed_s - before_s) / max(self._step - first_step, 1)
        eta = per_step * (loop.steps - self._step)
        if loop.minutes is not None:
            eta = min(eta, 60.0 * loop.minutes - self._elapsed_s)
        return fraction, max(eta, 0.0)
