"""Feeding a view from a tracker without being in its way: own thread, own process, the newest frame wins.

The thread compresses pictures (outside the interpreter lock) and writes to a pipe; the process at its other end evaluates the
mesh, logs to Rerun and runs at a lower priority. When it is slow, the pipe fills, the thread waits, and frames are left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final

import numpy as np

from tracker.errors import TrackerError
from tracker.types import Face, Frame, FrameResult, ImageRGB
from tracker.view.display import Display, ViewOptions
from tracker.view.layout import Contents
from tracker.view.picture import Picture, compress
from tracker.view.viewer import ViewError

MOST_PER_S: Final = 30.0
_PATIENCE_S: Final = 0.25
_REMEMBERED: Final = 8
"""Frames whose pictures are kept until their results are there; the pipeline has fewer under way."""
_OPEN_TIMEOUT_S: Final = 60.0
_CLOSE_TIMEOUT_S: Final = 10.0
_NICE: Final = 5
_NO_SIGMA: Final = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What goes through the pipe."""

    result: FrameResult | None
    picture: Picture | None
    status: Mapping[str, Any] | None
    events: tuple[tuple[str, str], ...]


class ViewFeed:
    """Hands frames to a view in a process of its own. A context manager.

    Args:
        options: where the view goes.
        model_name: the face model of the results, as ``load_face_model`` takes it.
        contents: what there will be to show.
        on_end: called with one line when the view was closed or broke, from a thread of the feed.

    Raises:
        ViewError, ConfigError: the view cannot be opened.
    """

    def __init__(
        self,
        options: ViewOptions,
        model_name: str,
        contents: Contents,
        on_end: Callable[[str], None] = lambda line: None,
    ) -> None:
        options.check()
        self.address: str | None = None
        self.shown = 0
        """Frames that were handed over."""
        self._on_end = on_end
        self._wake = threading.Condition()
        self._newest: tuple[FrameResult, ImageRGB | None] | None = None
        self._status: Mapping[str, Any] | None = None
        self._events: deque[tuple[str, str]] = deque(maxlen=200)
        self._pictures: dict[int, ImageRGB] = {}
        self._ending = False
        # Not forked: threads and the networks' runtime do not survive that.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_show, args=(theirs, options, model_name, contents), name="tracker-view", daemon=True
        )
        self._process.start()
        theirs.close()
        self._thread = threading.Thread(target=self._work, name="tracker-view", daemon=True)

    def open(self) -> None:
        """Wait until the view is there, then begin. Call it when everything else has been loaded.

        Raises:
            ViewError: it cannot be opened.
        """
        try:
            if not self._pipe.poll(_OPEN_TIMEOUT_S):
                raise ViewError(f"the view did not open within {_OPEN_TIMEOUT_S:g} s")
            opened, text = self._pipe.recv()
        except (EOFError, OSError):
            raise ViewError("the view's process ended before it opened; `tracker doctor` may tell why") from None
        if not opened:
            raise ViewError(text)
        self.address = text or None
        self._thread.start()

    def remember(self, frame: Frame) -> None:
        """Keep the picture of a frame until its result comes. Never waits."""
        with self._wake:
            self._pictures[frame.index] = frame.image
            while len(self._pictures) > _REMEMBERED:
                del self._pictures[next(iter(self._pictures))]

    def __call__(self, result: FrameResult) -> None:
        """Show a result; an older one that is still waiting is left out. Never waits."""
        with self._wake:
            self._newest = (result, self._pictures.pop(result.index, None))
            self._wake.notify()

    def status(self, message: Mapping[str, Any]) -> None:
        """Show the tracker's status (``face/status/``). Never waits."""
        with self._wake:
            self._status = message
            self._wake.notify()

    def event(self, kind: str, text: str) -> None:
        """Show an event. Never waits."""
        with self._wake:
            self._events.append((kind, text))
            self._wake.notify()

    def close(self) -> None:
        """End the view; a file is finished first. May be called twice."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT_S)
        self._pipe.close()
        self._process.join(_CLOSE_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()

    def __enter__(self) -> ViewFeed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        try:
            while True:
                shown = self._take()
                if shown is None:
                    return
                started_s = time.monotonic()
                self._pipe.send(shown)
                self.shown += shown.result is not None
                with self._wake:
                    if not self._ending:
                        self._wake.wait_for(
                            lambda: self._ending, max(0.0, started_s + 1 / MOST_PER_S - time.monotonic())
                        )
        except OSError:
            self._on_end(self._last_words())

    def _take(self) -> _Shown | None:
        """What is new; None at the end, after everything has been shown."""
        with self._wake:
            while self._newest is None and self._status is None and not self._events:
                if self._ending:
                    return None
                self._wake.wait(_PATIENCE_S)
            newest, status, events = self._newest, self._status, tuple(self._events)
            self._newest = self._status = None
            self._events.clear()
        if newest is None:
            return _Shown(None, None, status, events)
        result, image = newest
        return _Shown(_slim(result), None if image is None else compress(image), status, events)

    def _last_words(self) -> str:
        try:
            while self._pipe.poll():
                _, text = self._pipe.recv()
                return str(text)
        except (EOFError, OSError):
            pass
        return "the view has ended"


def _slim(result: FrameResult) -> FrameResult:
    """``result`` without what the view does not show."""
    return replace(result, faces=tuple(map(_slim_face, result.faces)), notices=())


def _slim_face(face: Face) -> Face:
    landmarks = replace(face.landmarks, sigma=_NO_SIGMA)
    occlusion = face.occlusion and replace(face.occlusion, points=_NO_SIGMA, visible=np.zeros(0, np.bool_))
    return replace(
        face,
        raw=face.params,
        landmarks=landmarks,
        albedo=None,
        identity_state=None,
        arkit_raw=None,
        occlusion=occlusion,
    )


def _show(pipe: Connection, options: ViewOptions, model_name: str, contents: Contents) -> None:
    """The process: show what comes until the pipe or the window is closed."""
    # Ctrl-C is for the tracker, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    try:
        from tracker.face_model import load_face_model

        with Display(options, load_face_model(model_name), contents) as display:
            pipe.send((True, display.address or ""))
            if _follow(pipe, display):
                pipe.send((False, "the view was closed"))
    except TrackerError as error:
        _tell(pipe, str(error))
    except (EOFError, BrokenPipeError):
        return


def _follow(pipe: Connection, display: Display) -> bool:
    """Show what comes; True when the user has closed the view, False when the tracker has."""
    while display.alive:
        if not pipe.poll(_PATIENCE_S):
            continue
        try:
            shown: _Shown = pipe.recv()
        except EOFError:
            return False
        if shown.result is not None:
            display.log.frame(shown.result, shown.picture)
        if shown.status is not None:
            display.log.status(shown.status)
        for kind, text in shown.events:
            display.log.event(kind, text)
        # Waits for the viewer, so that frames are left out before the pipe and do not queue up behind it.
        display.flush()
    return True


def _tell(pipe: Connection, text: str) -> None:
    try:
        pipe.send((False, text))
    except OSError:
        return
