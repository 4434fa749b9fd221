"""What a run shows in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table as RichTable

from trainer.loop import Outcome
from trainer.method import Table
from trainer.run_folder import RunFolder
from trainer.watch import Watcher


class _Bar(Watcher):
    """A progress bar with losses, speed and what is left; tables as they come."""

    def __init__(self, progress: Progress, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._task = progress.add_task("training", total=1.0, what="", left="")

    def started(self, step: int, steps: int) -> None:
        self._steps = steps
        self._progress.update(self._task, completed=step / steps)

    def stepped(self, step: int, fraction: float, eta_s: float | None) -> None:
        left = "" if eta_s is None else f"{timedelta(seconds=round(eta_s))} left"
        self._progress.update(self._task, completed=fraction, left=f"step {step}/{self._steps}  {left}")

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        shown = f"loss {values['loss']:.4g}  {values['images_per_s']:.0f} images/s"
        self._progress.update(self._task, what=shown)

    def evaluated(self, step: int, table: Table, best: bool) -> None:
        if not self._quiet:
            self._progress.console.print(_rich(table, f"step {step}" + (", the best so far" if best else "")))

    def said(self, text: str) -> None:
        self._progress.console.print(text)


@contextmanager
def display(quiet: bool) -> Iterator[Watcher]:
    """A progress bar on stderr while the context lasts; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[what]}"))
    with Progress(
        *columns, TextColumn("{task.fields[left]}"), console=console, disable=quiet or not console.is_terminal
    ) as progress:
        yield _Bar(progress, quiet)


def print_table(table: Table) -> None:
    """To stdout."""
    Console().print(_rich(table, None))
    for note in table.notes:
        print(note)


def ended(run: RunFolder, outcome: Outcome) -> int:
    """Say how a run ended and what to do next. The exit code."""
    out = sys.stderr
    out.write(f"{outcome.ending} at step {outcome.step}, {outcome.images_per_s:.1f} images/s: {run.path}\n")
    if outcome.ending in ("interrupted", "stopped"):
        out.write(f"go on with: trainer resume {run.path}\n")
    else:
        out.write(f"next: trainer export {run.path} -o network.onnx\n")
    return 130 if outcome.ending == "interrupted" else 0


def _rich(table: Table, title: str | None) -> RichTable:
    shown = RichTable(title=title)
    metrics = list(dict.fromkeys(name for row in table.rows.values() for name in row))
    shown.add_column("")
    for name in metrics:
        shown.add_column(name, justify="right")
    for row, values in table.rows.items():
        shown.add_row(row, *(f"{values[name]:.4g}" if name in values else "" for name in metrics))
    return shown
