"""Work that takes a core each, spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final, TypeVar

from trainer.errors import TrainingError

T = TypeVar("T")
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(jobs: Sequence[Callable[[], T]], processes: int = 0) -> Iterator[tuple[int, T]]:
    """(number of the job, its result) of each job as it ends; jobs begin in their order.

    Args:
        jobs: picklable calls (``functools.partial`` of a module's function); what they return travels back.
        processes: at a time; 0: one for each core. With one everything happens in this process.

    Raises:
        TrainingError: a process died, as it does when memory is short.
        What a job raises; the others are given up then, as they are on Ctrl-C.
    """
    count = min(processes or cores(), len(jobs))
    if count <= 1:
        yield from ((number, job()) for number, job in enumerate(jobs))
        return
    others = set(multiprocessing.active_children())
    # Fresh processes: threads of OpenVINO and torch do not survive a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin)
    try:
        with _one_thread_each():
            numbers: dict[Future[T], int] = {pool.submit(job): number for number, job in enumerate(jobs)}
        left = set(numbers)
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            yield from ((numbers[future], future.result()) for future in done)
    except BrokenProcessPool:
        raise TrainingError(
            f"one of {count} processes died, as they do when memory is short: use fewer, or free some"
        ) from None
    except BaseException:
        # Nobody waits for what is under way: a job may take minutes.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that begin within keep their libraries to one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    # Ctrl-C is the parent's matter.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
