"""One thread per bridge: newest frame wins, rate limited, kept alive, never in the tracker's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType

from tracker.bridges.bridge import Bridge, BridgeFrame
from tracker.errors import TrackerError

logger = logging.getLogger(__name__)

_IDLE_S = 0.25


class BridgeWorker:
    """Feeds a bridge from its own thread.

    Args:
        bridge: what sends; the worker owns and closes it.
        on_trouble: called with one line when sending begins to fail, fails for another reason, and works again.
    """

    def __init__(self, bridge: Bridge, on_trouble: Callable[[str], None] = lambda line: None) -> None:
        self._bridge = bridge
        self._on_trouble = on_trouble
        self._newest: BridgeFrame | None = None
        self._wake = threading.Condition()
        self._ending = False
        self._trouble: str | None = None
        self.sent = 0
        """Frames that were sent."""
        self.failed = 0
        """Frames that the network or the receiver refused."""
        self._thread = threading.Thread(target=self._work, name=f"bridge {bridge.target}", daemon=True)
        self._thread.start()

    @property
    def target(self) -> str:
        """Where it sends, for people."""
        return self._bridge.target

    @property
    def needs_model(self) -> bool:
        """Whether the bridge wants the face model."""
        return self._bridge.needs_model

    def __enter__(self) -> BridgeWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def offer(self, frame: BridgeFrame) -> None:
        """Hand over a frame; an older one that was not sent yet is left out. Never waits."""
        with self._wake:
            self._newest = frame
            self._wake.notify()

    def close(self) -> None:
        """Send what is left, close the bridge and end. May be called twice."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(timeout=3.0)

    def _work(self) -> None:
        shortest_s = 1.0 / self._bridge.most_per_s
        last_s = not_before_s = float("-inf")
        try:
            while True:
                frame, ending = self._take(last_s, not_before_s)
                if frame is not None:
                    self._attempt(partial(self._bridge.send, frame))
                elif not ending:
                    self._attempt(self._bridge.keep_alive, counts=False)
                if ending:
                    return
                last_s = time.monotonic()
                if frame is not None:
                    # Until then the newest frame replaces others that come too soon.
                    not_before_s = last_s + shortest_s
        finally:
            self._bridge.close()

    def _take(self, last_s: float, not_before_s: float) -> tuple[BridgeFrame | None, bool]:
        """The newest frame, or None when it is time to keep the connection alive or to end."""
        keep_alive_s = self._bridge.keep_alive_s
        with self._wake:
            while self._newest is None and not self._ending:
                if keep_alive_s is None:
                    self._wake.wait(_IDLE_S)
                    continue
                left_s = last_s + keep_alive_s - time.monotonic()
                if left_s <= 0.0:
                    break
                self._wake.wait(left_s)
            while not self._ending and (early_s := not_before_s - time.monotonic()) > 0.0:
                self._wake.wait(early_s)
            frame, self._newest = self._newest, None
            return frame, self._ending

    def _attempt(self, action: Callable[[], None], *, counts: bool = True) -> None:
        try:
            action()
        except (OSError, TrackerError) as error:
            self.failed += counts
            self._tell(str(getattr(error, "strerror", None) or error))
            return
        # A defect of ours must reach the log and the user; ending the bridge in the middle of a show would not mend it.
        except Exception as error:
            self.failed += counts
            if self._tell(f"internal error: {type(error).__name__}: {error}"):
                logger.error("%s: a frame cannot be sent", self.target, exc_info=error)
            return
        self.sent += counts
        if self._trouble is not None:
            self._on_trouble(f"{self.target}: sending again")
        self._trouble = None

    def _tell(self, reason: str) -> bool:
        """Tell of trouble unless it is the one that was told of last; whether it was told."""
        if reason == self._trouble:
            return False
        self._trouble = reason
        self._on_trouble(f"{self.target}: {reason}; still trying")
        return True
