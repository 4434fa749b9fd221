"""Batches made in the background: by a thread beside the training, or by processes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch.utils.data import DataLoader, Dataset

from trainer.data.batch import Batch
from trainer.data.stream import Stream

_END: Final = None


@contextmanager
def batches(
    stream: Stream, indices: Iterable[int], workers: int = 0, prefetch: int = 2, pin: bool = False
) -> Iterator[Iterator[Batch]]:
    """``stream.batch(i)`` for every index, in order, made ahead of time; the makers end with the context.

    Args:
        stream: where batches come from.
        indices: their numbers, possibly without end.
        workers: processes that make them; 0: one thread of this process.
        prefetch: batches that each maker keeps ready.
        pin: hand them out in page-locked memory.
    """
    made = _by_processes(stream, indices, workers, prefetch) if workers else _by_thread(stream, indices, prefetch)
    with made as source:
        yield (batch.pin_memory() for batch in source) if pin else source


@contextmanager
def _by_thread(stream: Stream, indices: Iterable[int], prefetch: int) -> Iterator[Iterator[Batch]]:
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(prefetch)
    ending = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not ending.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for index in indices:
                put(stream.batch(index))
                if ending.is_set():
                    return
            put(_END)
        except BaseException as error:
            put(error)

    def taken() -> Iterator[Batch]:
        while (item := ready.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    maker = threading.Thread(target=work, name="batches", daemon=True)
    maker.start()
    try:
        yield taken()
    finally:
        ending.set()
        maker.join()


class _Numbered(Dataset[Batch]):
    """A stream as torch's loader wants it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, index: int) -> Batch:
        return self.stream.batch(index)


@contextmanager
def _by_processes(stream: Stream, indices: Iterable[int], workers: int, prefetch: int) -> Iterator[Iterator[Batch]]:
    loader = DataLoader(
        _Numbered(stream),
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=prefetch,
        worker_init_fn=_one_thread,
        # Its own generator: torch's default one belongs to the training, which must not depend on how batches are made.
        generator=torch.Generator(),
        # Never by fork: this process has threads of its own and of libraries, and a fork keeps their locks and not them.
        multiprocessing_context="spawn",
    )
    iterator = iter(loader)
    try:
        yield iterator
    finally:
        del iterator


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
