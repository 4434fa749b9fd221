"""What people see of a batch: a bar for each clip at work and, of several, one for all of them; a line when one is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.cli.terminal import progress_bars, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tracker.batch.clip import Job, Outcome


class BatchProgress:
    """Shows how it goes with ``jobs``. A context manager."""

    def __init__(self, jobs: Sequence[Job], *, quiet: bool) -> None:
        self._numbers = {job: f"[{number}/{len(jobs)}] " for number, job in enumerate(jobs, 1)}
        if len(jobs) == 1:
            self._numbers = dict.fromkeys(jobs, "")
        self._progress: Progress | None = None if quiet else progress_bars()
        self._all: TaskID | None = None
        self._tasks: dict[Job, TaskID] = {}
        self._finished = 0
        self._started_s = time.monotonic()

    def __enter__(self) -> BatchProgress:
        if self._progress is not None:
            self._progress.start()
            if len(self._numbers) > 1:
                self._all = self._progress.add_task("all clips", total=len(self._numbers), unit="clips")
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def of(self, job: Job) -> JobProgress:
        """The ``Watch`` of one of the jobs."""
        return JobProgress(self, job)

    def say(self, job: Job, text: str) -> None:
        """One line about a job."""
        say(f"{self._numbers[job]}{text}")

    def begin(self, job: Job, what: str, frames: int | None) -> None:
        """A run through a clip begins."""
        if self._progress is None:
            return
        self._end_bar(job)
        name = f"{self._numbers[job]}{Path(job.source).name}" + (f": {what}" if what else "")
        self._tasks[job] = self._progress.add_task(name, total=frames, unit="frames")

    def advance(self, job: Job, frames: int = 1) -> None:
        """So many frames more."""
        if self._progress is not None:
            self._progress.advance(self._tasks[job], frames)

    def done(self, job: Job, outcome: Outcome) -> None:
        """A job is done, well or not."""
        self._finished += 1
        if self._progress is not None and len(self._numbers) > 1:
            self._end_bar(job)
            if self._all is not None:
                self._progress.advance(self._all)
        elif self._progress is not None and job in self._tasks:
            self._progress.update(self._tasks[job], total=outcome.frames, completed=outcome.frames)
        if outcome.status == "failed":
            say(f"tracker process: {outcome.error}")
        elif outcome.status == "complete":
            speed = outcome.frames / max(outcome.seconds, 1e-9)
            line = f"{job.output}: {outcome.frames} frames, {outcome.with_face} with a face, {speed:.0f} frames/s"
            self.say(job, line + self._left())
            if not outcome.with_face:
                self.say(job, f"no face was found in any frame of {job.source}")

    def _left(self) -> str:
        """Where no bar shows it: how long the rest will take."""
        left = len(self._numbers) - self._finished
        if left == 0 or (self._progress is not None and self._progress.console.is_terminal):
            return ""
        seconds = (time.monotonic() - self._started_s) / self._finished * left
        hours, minutes = divmod(round(seconds / 60), 60)
        return f", about {hours} h {minutes:02d} min left" if hours else f", about {max(1, minutes)} min left"

    def _end_bar(self, job: Job) -> None:
        task = self._tasks.pop(job, None)
        if task is not None and self._progress is not None:
            self._progress.remove_task(task)


class JobProgress:
    """``BatchProgress`` about one job: a ``Watch``."""

    def __init__(self, progress: BatchProgress, job: Job) -> None:
        self._progress, self._job = progress, job

    def say(self, text: str) -> None:
        """One line that people should see."""
        self._progress.say(self._job, text)

    def begin(self, what: str, frames: int | None) -> None:
        """A run through a clip begins."""
        self._progress.begin(self._job, what, frames)

    def advance(self) -> None:
        """One frame more."""
        self._progress.advance(self._job)
