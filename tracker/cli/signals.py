"""Ending a long-running command in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A terminal that closes sends SIGHUP; Windows has none.
ENDING = (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Ctrl-C and the signals of a closing session call ``stop``; the event tells that one came. A second one insists."""
    interrupted = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        stop()

    with _handling((signal.SIGINT, *ENDING), on_signal):
        yield interrupted


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """The signals of a closing session raise KeyboardInterrupt, as Ctrl-C does, so that files are closed in order."""

    def on_signal(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handling(ENDING, on_signal):
        yield


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: Callable[[int, object], None]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
