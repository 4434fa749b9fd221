"""What ``tracker bench`` measures: the real pipeline on this machine, at full speed and at a camera's pace."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np

from tracker.config import TrackerConfig
from tracker.detection import FaceDetector, FaceFollower
from tracker.errors import ConfigError
from tracker.landmarks import create_encoder
from tracker.publishing.config import PublishConfig
from tracker.publishing.describe import describe_model
from tracker.publishing.publisher import Publisher
from tracker.publishing.wire import TOPIC_FRAME
from tracker.session import LiveSession, SessionStatus
from tracker.sources.base import FrameSource
from tracker.sources.open import open_source
from tracker.sources.paced import PacedSource
from tracker.tracking import FrameTracker
from tracker.types import Frame

LIVE_FPS: Final = 30.0
RESOLUTIONS: Final = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
"""Where the cost of a detection is measured."""
_DETECTION_ROUNDS: Final = 15
_FRESH_PROCESSES: Final = 3
_FRESH_FRAMES: Final = 60
_FRESH_TIMEOUT_S: Final = 60.0


class RepeatedSource(FrameSource):
    """The frames of a finite source over and over, up to ``frames`` in all, with times that go on."""

    def __init__(self, spec: str, frames: int) -> None:
        """Open ``spec`` (see ``open_source``).

        Raises:
            SourceError: it cannot be read.
            ConfigError: it has no end.
        """
        self._spec = spec
        self._source = open_source(spec)
        if self._source.live:
            self._source.close()
            raise ConfigError(f"bench needs a source with an end, such as a video file; '{spec}' is live")
        self._left = frames
        self._index = 0
        self._shift_ns = 0
        self._latest_ns = -1
        self.name, self.size, self.rate = self._source.name, self._source.size, self._source.rate
        self.frame_count, self.frame_count_exact = frames, True

    def read(self) -> Frame | None:
        if self._left == 0 or self.state == "closed":
            return None
        frame = self._source.read() or self._again()
        if frame is None:
            return None
        self._left -= 1
        self._index += 1
        self._latest_ns = frame.t_capture_ns + self._shift_ns
        return replace(frame, index=self._index - 1, t_capture_ns=self._latest_ns, pts_s=None)

    def close(self) -> None:
        self._source.close()
        super().close()

    def _again(self) -> Frame | None:
        self._source.close()
        self._source = open_source(self._spec)
        frame = self._source.read()
        if frame is not None:
            self._shift_ns = self._latest_ns + round(1e9 / (self.rate or LIVE_FPS)) - frame.t_capture_ns
        return frame


@dataclass(frozen=True, slots=True)
class FreshProcess:
    """A ``tracker run`` started from nothing."""

    first_result_s: float
    """Process start to the publication of the first frame."""
    rss_mb: float
    """Peak resident memory."""


def run_unpaced(spec: str, frames: int, tracker: FrameTracker) -> tuple[float, SessionStatus]:
    """Track ``frames`` frames as fast as possible, publishing them: frames per second, and the stages' timing."""
    tracker.reset()
    with RepeatedSource(spec, frames) as source, _publisher(tracker) as publisher:
        started = time.perf_counter()
        status = LiveSession(source, tracker, publisher).run()
        return status.frames / (time.perf_counter() - started), status


def run_paced(spec: str, frames: int, tracker: FrameTracker) -> SessionStatus:
    """The same with frames coming in at ``LIVE_FPS``, as from a camera: the latencies count."""
    tracker.reset()
    source = RepeatedSource(spec, frames)
    speed = LIVE_FPS / float(source.rate) if source.rate else 1.0
    with PacedSource(source, speed) as paced, _publisher(tracker) as publisher:
        return LiveSession(paced, tracker, publisher).run()


def time_fit(spec: str, frames: int, tracker: FrameTracker) -> dict[str, float]:
    """CPU milliseconds that the fit stage (fit, smoothing, assembly) takes on one thread in warm frames.

    Returns ``p50`` and ``p95`` over frames whose identity did not change.
    """
    tracker.reset()
    taken: list[float] = []
    version = -1
    with RepeatedSource(spec, frames) as source:
        for frame in source:
            encoded = tracker.encode(frame)
            start = time.thread_time_ns()
            result = tracker.fit(encoded)
            spent_ms = (time.thread_time_ns() - start) * 1e-6
            if result.faces and result.faces[0].age > 0 and result.faces[0].identity_version == version:
                taken.append(spent_ms)
            version = result.faces[0].identity_version if result.faces else -1
    return _percentiles(taken)


def time_detection(image: np.ndarray[Any, np.dtype[np.uint8]], config: TrackerConfig) -> dict[str, dict[str, float]]:
    """CPU milliseconds of the frame in which an unknown face is found: detection and landmarks, per resolution.

    ``image`` (H, W, 3) is scaled to each of ``RESOLUTIONS``; ``nobody`` is the thorough search of a grey picture.
    """
    follower = FaceFollower(
        create_encoder(config.encoder, config.threads, config.precision, config.engine),
        FaceDetector(config.threads, config.precision, config.engine),
    )
    taken: dict[str, dict[str, float]] = {}
    for width, height in RESOLUTIONS:
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        taken[f"{width}x{height}"] = _time_search(follower, scaled.astype(np.uint8, copy=False))
    taken["nobody"] = _time_search(follower, np.full((720, 1280, 3), 128, np.uint8))
    return taken


def start_fresh(spec: str) -> FreshProcess:
    """Start ``tracker run`` on ``spec`` several times and take the medians.

    Raises:
        ConfigError: it published nothing.
    """
    runs = [_start_once(spec) for _ in range(_FRESH_PROCESSES)]
    return FreshProcess(
        round(float(np.median([run.first_result_s for run in runs])), 3),
        round(float(np.median([run.rss_mb for run in runs])), 1),
    )


def _start_once(spec: str) -> FreshProcess:
    from tracker.publishing.client import Subscriber

    with tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder:
        endpoint = f"ipc://{folder}/frames"
        command = [
            sys.executable, "-m", "tracker", "run", "--source", spec, "--speed", "0", "--frames", str(_FRESH_FRAMES), "--quiet",
            "--bind", endpoint, "--bind-latest", "none", "--bind-control", "none",
        ]  # fmt: skip
        with Subscriber(endpoint) as subscriber:
            started_ns = time.monotonic_ns()
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            first_ns = _first_publication_ns(subscriber, process)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            said = process.stderr.read().strip() if process.stderr else ""
    if first_ns is None:
        raise ConfigError(
            f"`{' '.join(command[2:6])}` published nothing: {said.splitlines()[-1] if said else 'no message'}"
        )
    scale = 1024.0**2 if sys.platform == "darwin" else 1024.0
    return FreshProcess((first_ns - started_ns) * 1e-9, usage.ru_maxrss / scale)


def _first_publication_ns(subscriber: Any, process: subprocess.Popen[str]) -> int | None:
    deadline_s = time.monotonic() + _FRESH_TIMEOUT_S
    while time.monotonic() < deadline_s:
        message = subscriber.receive(timeout_s=0.2)
        if message is not None and message.topic == TOPIC_FRAME:
            first: int = message.payload["t_publish"]
            return first
        # Looks without reaping: the caller asks for the process's memory when it reaps it.
        if message is None and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return None
    process.kill()
    return None


def _time_search(follower: FaceFollower, image: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, float]:
    taken = []
    for index in range(_DETECTION_ROUNDS):
        follower.reset()
        start = time.process_time_ns()
        follower.process(Frame(image, index, index * 33_000_000, "media", 0))
        taken.append((time.process_time_ns() - start) * 1e-6)
    return _percentiles(taken[2:])


@contextmanager
def _publisher(tracker: FrameTracker) -> Iterator[Publisher]:
    with tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder:
        config = PublishConfig(bind=f"ipc://{folder}/frames", latest=None, control=None)
        with Publisher(config, describe_model(tracker.model)) as publisher:
            yield publisher


def _percentiles(taken: list[float]) -> dict[str, float]:
    if not taken:
        return {"p50": float("nan"), "p95": float("nan")}
    return {"p50": round(float(np.percentile(taken, 50)), 3), "p95": round(float(np.percentile(taken, 95)), 3)}
