"""Clips side by side, each worker a process with a tracker of its own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final, Protocol

from tracker.batch.clip import Job, Outcome, Status, TakeOptions, Watch, track_clip
from tracker.config import TrackerConfig
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from tracker.tracking import FrameTracker

_CLOSE_TIMEOUT_S: Final = 15.0
_FRAMES_PER_WORD: Final = 8
"""Frames between two words about progress, which would otherwise cost more than they tell."""


class Watchers(Protocol):
    """Who is told how it goes with many jobs: the methods of ``Watch``, each with the job that it is about."""

    def say(self, job: Job, text: str) -> None:
        """One line that people should see."""
        ...

    def begin(self, job: Job, what: str, frames: int | None) -> None:
        """A run through a clip begins."""
        ...

    def advance(self, job: Job, frames: int) -> None:
        """So many frames more."""
        ...


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: Job | None = None


class Workers:
    """A pool of processes that track clips. A context manager: leaving it ends them, and their takes in order.

    Args:
        count: how many.
        config: the trackers' settings.
        options: what takes hold.
    """

    def __init__(self, count: int, config: TrackerConfig, options: TakeOptions) -> None:
        self._config, self._options = config, options
        # Not forked: threads and the networks' runtime do not survive that.
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start() for _ in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            # A worker that is at a clip closes its take, as after Ctrl-C.
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_CLOSE_TIMEOUT_S)
            if worker.process.is_alive():
                worker.process.kill()
            worker.pipe.close()

    def run(self, jobs: Sequence[Job], watchers: Watchers) -> Iterator[tuple[Job, Outcome]]:
        """Outcomes, in the order in which clips are done. A process that dies takes one clip with it, not the others.

        Raises:
            TrackerError: a tracker cannot be loaded.
        """
        waiting = list(reversed(jobs))
        while True:
            for worker in self._workers:
                if worker.job is None and waiting:
                    worker.job = waiting.pop()
                    worker.pipe.send(worker.job)
            busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
            if not busy:
                return
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                done = self._hear(busy[pipe], watchers)
                if done is not None:
                    yield done

    def _hear(self, worker: _Worker, watchers: Watchers) -> tuple[Job, Outcome] | None:
        job = worker.job
        assert job is not None
        try:
            kind, *words = worker.pipe.recv()
        except (EOFError, OSError):
            return job, self._replace(worker)
        if kind == "broken":
            raise words[0]
        if kind == "done":
            worker.job = None
            return job, words[0]
        getattr(watchers, kind)(job, *words)
        return None

    def _replace(self, worker: _Worker) -> Outcome:
        worker.process.join(_CLOSE_TIMEOUT_S)
        code = worker.process.exitcode
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._start()
        ended = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        hint = "; memory may have run out, fewer --jobs need less" if code == -9 else ""
        return Outcome("failed", error=f"the process that tracked it was ended {ended}{hint}", exit_code=1)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(theirs, self._config, self._options), name="tracker-process", daemon=True
        )
        with _without_ctrl_c():
            process.start()
        theirs.close()
        return _Worker(process, ours)


class _Teller:
    """A ``Watch`` that passes on what it is told."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._frames = 0

    def say(self, text: str) -> None:
        self._tell("say", text)

    def begin(self, what: str, frames: int | None) -> None:
        self._frames = 0
        self._tell("begin", what, frames)

    def advance(self) -> None:
        self._frames += 1
        if self._frames % _FRAMES_PER_WORD == 0:
            self._tell("advance", _FRAMES_PER_WORD)

    def _tell(self, *words: Any) -> None:
        try:
            self._pipe.send(words)
        except OSError:
            # Whoever asked has gone: end the take in order.
            raise KeyboardInterrupt from None


def _work(pipe: Connection, config: TrackerConfig, options: TakeOptions) -> None:
    """The process: track what comes until the pipe is closed."""
    # Ctrl-C reaches all processes of a terminal; ours is ended by the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from tracker.tracking import FrameTracker

        try:
            tracker = FrameTracker(config)
        except TrackerError as error:
            pipe.recv()
            pipe.send(("broken", error))
            return
        status: Status = "complete"
        while status != "interrupted":
            job = pipe.recv()
            outcome = track_one(job, tracker, options, _Teller(pipe))
            pipe.send(("done", outcome))
            status = outcome.status
    except (EOFError, OSError, KeyboardInterrupt):
        sys.exit(0)


def track_one(job: Job, tracker: FrameTracker, options: TakeOptions, watch: Watch) -> Outcome:
    """``track_clip`` for a clip among many: a defect of ours costs one of them, not all that come after it."""
    try:
        return track_clip(job, tracker, options, watch)
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome("failed", error=f"{job.source}: defect: {text} (please report it)", exit_code=70)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A process that is started in here never hears Ctrl-C, not even before it could say that it does not want to."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
