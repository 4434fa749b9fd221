"""All bridges of a session: opened together, fed together, closed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType

from tracker.bridges.bridge import BridgeFace, BridgeFrame
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.worker import BridgeWorker
from tracker.face_model.model import FaceModel
from tracker.types import Face, FrameResult

_DEFAULT_RATE = Fraction(30)
_HIGHEST_RATE = Fraction(1000)
"""Containers that know no rate state the ticks of their clock, 90000 a second: no number of frames since midnight holds that."""
_RATE_SMOOTHING = 0.05


class BridgeHub:
    """Hands every frame result to all bridges. A context manager.

    Args:
        specs: where to send.
        on_trouble: called with one line when a bridge begins to fail or works again; from the bridges' threads.
        model: the face model behind the parameters, if it is known already; see ``model``.

    Raises:
        TrackerError: a bridge cannot be opened (unknown host, missing package). None stays open then.
    """

    def __init__(
        self,
        specs: Sequence[BridgeSpec],
        on_trouble: Callable[[str], None] = lambda line: None,
        model: FaceModel | None = None,
    ) -> None:
        self.model = model
        """The face model behind the parameters; may be set later, when ``needs_model``."""
        with ExitStack() as stack:
            self.workers = [stack.enter_context(BridgeWorker(spec.entry.open(spec), on_trouble)) for spec in specs]
            self._stack = stack.pop_all()
        self._main_id: int | None = None
        self._last_ns: int | None = None
        self._period_ns = 0.0

    def __enter__(self) -> BridgeHub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, result: FrameResult) -> None:
        """Send a frame result to all bridges. Never waits."""
        if not self.workers:
            return
        main = self._main(result.faces)
        face = BridgeFace.of(main) if main is not None else None
        frame = BridgeFrame(result, face, self._rate(result), self.model)
        for worker in self.workers:
            worker.offer(frame)

    @property
    def needs_model(self) -> bool:
        """Whether one of the bridges wants the face model."""
        return any(worker.needs_model for worker in self.workers)

    def close(self) -> None:
        """Close all bridges. May be called twice."""
        self._stack.close()

    def _main(self, faces: Sequence[Face]) -> Face | None:
        for face in faces:
            if face.id == self._main_id:
                return face
        main = next((face for face in faces if face.tracked), None)
        self._main_id = main.id if main is not None else self._main_id
        return main

    def _rate(self, result: FrameResult) -> Fraction:
        if result.rate is not None and 0 < result.rate <= _HIGHEST_RATE:
            return result.rate
        if self._last_ns is not None and result.t_capture_ns > self._last_ns:
            period_ns = result.t_capture_ns - self._last_ns
            self._period_ns += _RATE_SMOOTHING * (period_ns - self._period_ns) if self._period_ns else period_ns
        self._last_ns = result.t_capture_ns
        return Fraction(max(1, round(1e9 / self._period_ns))) if self._period_ns else _DEFAULT_RATE
