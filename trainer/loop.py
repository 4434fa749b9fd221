"""The loop: steps, schedule, average, evaluation, checkpoints; the same for every method and machine."""

from __future__ import annotations

import contextlib
import math
import platform
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from trainer import checkpoint as checkpoints
from trainer.average import moving_average
from trainer.batch_statistics import normalised, settle
from trainer.checkpoint import Checkpoint
from trainer.data.batch import Batch
from trainer.data.loader import batches
from trainer.data.stream import Stream
from trainer.errors import CheckpointError, TrainingError
from trainer.evaluation import evaluate
from trainer.journal import Journal
from trainer.method import Method, Streams, Table
from trainer.report import write_report
from trainer.run_folder import RunFolder
from trainer.run_settings import OptimiserSettings, RunSettings
from trainer.schedule import done, rate
from trainer.watch import Watcher

_UNUSED: Final = "Expected to have finished reduction in the prior iteration"
"""How data-parallel torch complains about weights without gradients."""

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


class _Carried:
    """A batch on its way through Fabric's wrappers, which would turn the tensors of a bare one into half precision."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Step(nn.Module):
    """A method's step as a module: data-parallel wrappers see all that has gradients, losses' weights included."""

    def __init__(self, method: Method[Any], module: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.module = module

    def forward(self, carried: _Carried) -> dict[str, Tensor]:
        losses = self.method.step(self.module, carried.batch)
        if "loss" not in losses:
            raise TrainingError(f"the method {self.method.name} gives no loss named 'loss', but {', '.join(losses)}")
        return losses


@dataclass(slots=True)
class _Sums:
    """Losses since the last log line, kept on the device so that nothing waits for it."""

    values: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0
    images: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, losses: dict[str, Tensor], images: int) -> None:
        for name, value in losses.items():
            self.values[name] = self.values.get(name, torch.zeros_like(value)) + value.detach()
        self.count += 1
        self.images += images


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
        torch.manual_seed(settings.seed)
        module = method.build()
        self._module = fabric.to_device(module)
        decay = settings.loop.ema
        self._average = None if decay is None else moving_average(self._module, decay)
        if settings.loop.compile:
            self._module.compile()
        self._optimiser = _optimiser(method.parameter_groups(self._module), settings.optimiser)
        self._wrapped, self._wrapped_optimiser = fabric.setup(_Step(method, self._module), self._optimiser)
        # Weights start alike everywhere; what is random in training does not.
        torch.manual_seed(settings.seed + 1 + fabric.global_rank)
        self._step = 0
        self._images = 0
        self._elapsed_s = 0.0
        self._best = math.inf
        self._stop = threading.Event()

    @property
    def deployable(self) -> nn.Module:
        """The network with the weights that are evaluated: the moving average, if there is one."""
        return self._module if self._average is None else self._average.module

    def restore_weights(self, checkpoint: Checkpoint) -> None:
        """Take the network and its average from a checkpoint. Raises ``CheckpointError`` when it is of another network."""
        try:
            self._module.load_state_dict(checkpoint.module)
            if self._average is not None:
                if checkpoint.average is None:
                    raise CheckpointError("the checkpoint has no moving average; take --set loop.ema=none")
                self._average.load_state_dict(checkpoint.average)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint is of another network than the settings describe: {' '.join(str(error).split())[:300]}"
            ) from None

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises ``CheckpointError`` when it is of another network or number of processes."""
        self.restore_weights(checkpoint)
        try:
            self._optimiser.load_state_dict(checkpoint.optimiser)
        except (RuntimeError, ValueError, KeyError):
            raise CheckpointError("the checkpoint is of another optimiser than the settings describe") from None
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
        sums = _Sums()
        ending: Ending | None = None
        with (
            _interrupts(self._stop),
            batches(streams.train, self._indices(), machine.workers, machine.prefetch, self._on_gpu) as source,
            contextlib.closing(Journal(self._run if self.fabric.is_global_zero else None)) as journal,
        ):
            journal.session(self._step, self._machine())
            while (ending := self._ending(until)) is None:
                progress = done(loop, self._step, self._elapsed_s)
                scale = rate(self._settings.schedule, self._step, progress)
                images = self._train_step(source, scale, sums)
                self._step += 1
                self._images += images
                self._elapsed_s = before_s + time.monotonic() - began - paused_s
                if self._step % loop.log_every == 0 or self._step == first_step + 1:
                    values = self._checked_means(sums) | {"lr": scale * self._settings.optimiser.lr}
                    journal.scalars(self._step, values, self._elapsed_s)
                    self._watcher.logged(self._step, values)
                    sums = _Sums()
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
        trained = sum(p.numel() for p in self._module.parameters() if p.requires_grad)
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

    def _train_step(self, source: Iterator[Batch], scale: float, sums: _Sums) -> int:
        """One optimiser step. Returns the images that went into it, in all processes."""
        optimiser = self._settings.optimiser
        for group in self._optimiser.param_groups:
            group["lr"] = optimiser.lr * scale * group.get("lr_scale", 1.0)
        count = self._settings.loop.accumulate
        images = 0
        self._module.train()
        for position in range(count):
            batch = next(source).to(self.fabric.device)
            with self.fabric.no_backward_sync(self._wrapped, enabled=position < count - 1):
                losses = self._forward(batch)
                self.fabric.backward(losses["loss"] / count)
            images += len(batch) * self.fabric.world_size
            sums.add(losses, len(batch) * self.fabric.world_size)
        if optimiser.clip_norm is not None:
            self.fabric.clip_gradients(
                self._wrapped, self._wrapped_optimiser, max_norm=optimiser.clip_norm, error_if_nonfinite=False
            )
        self._wrapped_optimiser.step()
        self._wrapped_optimiser.zero_grad()
        if self._average is not None:
            self._average.update_parameters(self._module)
        return images

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses. Raises ``TrainingError`` where processes cannot agree on gradients that some weights never get."""
        try:
            losses: dict[str, Tensor] = self._wrapped(_Carried(batch))
        except RuntimeError as error:
            if _UNUSED not in str(error):
                raise
            raise TrainingError(
                f"some weights of {self._method.name} have no part in its loss; with several processes that takes "
                "--set machine.find_unused_parameters=true"
            ) from None
        return losses

    def _checked_means(self, sums: _Sums) -> dict[str, float]:
        """Means over all processes. Raises ``TrainingError`` when one is not finite."""
        if not sums.count:
            return {}
        means = torch.stack([value.float() for value in sums.values.values()]) / sums.count
        if self.fabric.world_size > 1:
            torch.distributed.all_reduce(means)
            means /= self.fabric.world_size
        values = dict(zip(sums.values, means.tolist(), strict=True))
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            kept = f"{self._run.last} holds the last good state" if self._run.last.exists() else "nothing was saved yet"
            raise TrainingError(
                f"{', '.join(broken)} became NaN or infinite within {sums.count} batches of step {self._step}; "
                f"try a smaller optimiser.lr; {kept}"
            )
        if self._on_gpu:
            values["gpu_peak_mb"] = torch.cuda.max_memory_allocated(self.fabric.device) / 1e6
        values["images_per_s"] = sums.images / max(time.monotonic() - sums.began, 1e-9)
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
        for copied, original in zip(module.modules(), self._module.modules(), strict=True):
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
                module=self._module.state_dict(),
                optimiser=self._optimiser.state_dict(),
                average=None if self._average is None else self._average.state_dict(),
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


def _optimiser(groups: list[dict[str, Any]], settings: OptimiserSettings) -> torch.optim.Optimizer:
    groups = [group for group in groups if group["params"]]
    if settings.kind == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, nesterov=True
        )
    return torch.optim.AdamW(
        groups, lr=settings.lr, betas=(settings.momentum, settings.beta2), weight_decay=settings.weight_decay
    )


@contextlib.contextmanager
def _interrupts(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and a polite kill end the loop after the step at work; a second Ctrl-C ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def noted(number: int, frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, noted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
