"""The publishing socket pair: every frame to every subscriber, and what late joiners need beside it."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import numpy as np
import zmq

from tracker.errors import PublishError
from tracker.publishing import wire
from tracker.publishing.config import PublishConfig
from tracker.publishing.schema import ModelDescription, build_schema
from tracker.publishing.security import ServerSecurity
from tracker.publishing.sockets import bind
from tracker.types import Face, Float32, FrameResult, KnownIdentity

logger = logging.getLogger(__name__)

SEND_HIGH_WATER_MARK: Final = 16
"""Messages queued per slow subscriber before further ones are dropped for it."""
REFRESH_S: Final = 1.0
"""Period of schema, identity and status."""
_TICK_S: Final = 0.1
_CLOSING_MS: Final = 100


class Publisher:
    """Sends frame results, schema, identities, events and status (docs/wire.md).

    Schema and identities go out on start, on change, to each new subscriber and every second; the status every second,
    also while no frame comes. Methods may be called from any thread. Sending never blocks: a subscriber that is slower than
    the stream loses messages and sees it in ``seq``.

    Args:
        config: endpoints and options.
        model: the face model behind the parameters.
        regions: names of face regions, see ``build_schema``.
        security: shared with the other sockets of the process; made from ``config`` when not given.

    Raises:
        PublishError: an endpoint cannot be bound.
    """

    def __init__(
        self,
        config: PublishConfig,
        model: ModelDescription,
        *,
        regions: tuple[str, ...] = (),
        security: ServerSecurity | None = None,
    ) -> None:
        self.config = config
        self.stream = str(uuid.uuid4())
        self.security = security or ServerSecurity(config.curve_keys)
        self._owns_security = security is None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._started_s = time.monotonic()
        self._seq = dict.fromkeys(wire.TOPICS, 0)
        self._model, self._regions, self._revision = model, regions, 1
        self._skin_uv: Float32 | None = None
        self._identities: dict[int, KnownIdentity] = {}
        self._tracked: dict[int, bool] = {}
        self._status: dict[str, Any] = {}
        self._withheld, self._withheld_reported_s = 0, -math.inf
        self._publish_ms: deque[float] = deque(maxlen=300)
        self._main, self._latest = self._open_sockets()
        self._send_schema()
        self._thread = threading.Thread(target=self._refresh, name="publisher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def schema(self) -> dict[str, Any]:
        """The schema message as last sent, ready for msgpack or JSON."""
        return build_schema(
            self._model,
            regions=self._regions,
            skin_uv=self._skin_uv,
            with_raw=self.config.with_raw,
            with_landmarks=self.config.with_landmarks,
            revision=self._revision,
            stream=self.stream,
        )

    def publish(self, result: FrameResult) -> None:
        """Send a frame, and before it identities that changed. Tracked and lost events follow from the faces in it.

        A face that holds NaN or infinity is left out, counted in the status (``faces_withheld``) and reported as an
        event (once a second), since the stream must go on.

        Raises:
            PublishError: the frame cannot be sent as a whole (its camera holds NaN).
        """
        started = time.perf_counter()
        bad: list[tuple[Face, PublishError]] = []
        with self._lock:
            self._require_open()
            self._welcome()
            self._note_identities(
                {
                    face.id: KnownIdentity(face.identity_version, face.identity, face.identity_state, face.albedo)
                    for face in result.faces
                }
            )
            message = wire.encode_frame(
                result,
                stream=self.stream,
                seq=self._next_seq(wire.TOPIC_FRAME),
                schema=self._revision,
                t_publish_ns=time.monotonic_ns(),
                with_raw=self.config.with_raw,
                with_landmarks=self.config.with_landmarks,
                on_bad_face=lambda face, error: bad.append((face, error)),
            )
            self._send_frame(message)
            self._note_tracked({face["id"]: face["tracked"] for face in message["faces"]}, result.index)
            for face, error in bad:
                self._withhold(face.id, result.index, error)
            self._publish_ms.append((time.perf_counter() - started) * 1e3)

    def event(self, kind: str, **fields: Any) -> None:
        """Send an event at once, for example ``event("recentered", id=1)``. After ``close`` it does nothing.

        Raises:
            PublishError: a field has no plain form.
        """
        with self._lock:
            if not self._closing.is_set():
                self._send_event(kind, fields)

    def status(self, fields: Mapping[str, Any]) -> None:
        """Replace what the status says from now on (fps, dropped, stages, camera ...).

        It goes out once a second and on closing.

        Raises:
            PublishError: a field has no plain form.
        """
        checked = wire.plain(fields)
        with self._lock:
            self._status = checked

    def set_model(self, model: ModelDescription, regions: tuple[str, ...] = (), skin_uv: Float32 | None = None) -> None:
        """Announce another face model, or that appearance is estimated: frames from now on carry a new schema revision.

        Args:
            model: the face model behind the parameters.
            regions: names of face regions, see ``build_schema``.
            skin_uv: (P, 2) where the points of albedos lie, see ``build_schema``.
        """
        with self._lock:
            self._require_open()
            if (model, regions) != (self._model, self._regions) or skin_uv is not self._skin_uv:
                self._model, self._regions, self._skin_uv = model, regions, skin_uv
                self._revision += 1
                self._send_schema()

    def close(self) -> None:
        """Send a last status and the event ``ended``, and close the sockets. May be called twice.

        Messages on their way get a tenth of a second to leave; what a subscriber has not taken by then is dropped.
        """
        with self._lock:
            if self._closing.is_set():
                return
            self._send_status()
            self._send_event("ended", {})
            self._closing.set()
        self._thread.join()
        self._main.close(linger=_CLOSING_MS)
        if self._latest is not None:
            self._latest.close(linger=_CLOSING_MS)
        if self._owns_security:
            self.security.close()

    def _open_sockets(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes] | None]:
        opened: list[zmq.Socket[bytes]] = []
        try:
            main = self.security.context.socket(zmq.XPUB)
            opened.append(main)
            # Verbose: also the second subscriber to a topic is announced, so that it gets schema and identities at once.
            main.set(zmq.XPUB_VERBOSE, 1)
            main.sndhwm = SEND_HIGH_WATER_MARK
            self.endpoint = bind(main, self.config.bind, "--bind", self.security)
            self.latest_endpoint: str | None = None
            if self.config.latest is None:
                return main, None
            latest = self.security.context.socket(zmq.PUB)
            opened.append(latest)
            # A full queue drops the newest message; this endpoint promises exactly that one.
            latest.set(zmq.CONFLATE, 1)
            self.latest_endpoint = bind(latest, self.config.latest, "--bind-latest", self.security)
            return main, latest
        except PublishError:
            for socket in opened:
                socket.close(linger=0)
            if self._owns_security:
                self.security.close()
            raise

    def _refresh(self) -> None:
        """Thread: serves new subscribers between frames and repeats schema, identities and status every second."""
        due_s = self._started_s + REFRESH_S
        while not self._closing.wait(_TICK_S):
            with self._lock:
                if self._closing.is_set():
                    return
                self._welcome()
                if time.monotonic() >= due_s:
                    due_s = max(due_s + REFRESH_S, time.monotonic())
                    self._send_schema()
                    self._send_identity()
                    self._send_status()

    def _welcome(self) -> None:
        """Send schema and identities if somebody subscribed since the last call."""
        joined = False
        while int(self._main.get(zmq.EVENTS)) & zmq.POLLIN:
            try:
                notice: bytes = self._main.recv(zmq.NOBLOCK)
            except zmq.Again:  # what was announced as ready was no message after all
                break
            joined |= notice.startswith(b"\x01")
        if joined:
            self._send_schema()
            self._send_identity()

    def _note_identities(self, identities: dict[int, KnownIdentity]) -> None:
        changed = any(
            face_id not in self._identities or _versions(self._identities[face_id]) != _versions(known)
            for face_id, known in identities.items()
        )
        # Faces that left are forgotten, so that one that returns is announced again.
        self._identities = identities
        if changed:
            self._send_identity()

    def _note_tracked(self, tracked: dict[int, bool], frame: int) -> None:
        before, self._tracked = self._tracked, tracked
        for face_id, is_tracked in tracked.items():
            if is_tracked and not before.get(face_id, False):
                self._send_event("tracked", {"id": face_id, "frame": frame})
            elif not is_tracked and before.get(face_id, False):
                self._send_event("lost", {"id": face_id, "frame": frame})
        for face_id, was_tracked in before.items():
            if was_tracked and face_id not in tracked:
                self._send_event("lost", {"id": face_id, "frame": frame})

    def _withhold(self, face_id: int, frame: int, error: PublishError) -> None:
        self._withheld += 1
        # One report a second tells as much as thirty.
        if time.monotonic() - self._withheld_reported_s >= REFRESH_S:
            self._withheld_reported_s = time.monotonic()
            logger.warning("left out of frame %d: %s", frame, error)
            self._send_event("withheld", {"id": face_id, "frame": frame, "reason": str(error)})

    def _send_frame(self, message: Mapping[str, Any]) -> None:
        packed = wire.pack(message)
        self._send(wire.TOPIC_FRAME, packed)
        if self._latest is not None:
            self._latest.send(wire.LATEST_PREFIX + packed, zmq.NOBLOCK)

    def _send_schema(self) -> None:
        self._send(wire.TOPIC_SCHEMA, wire.pack({**self.schema, "seq": self._next_seq(wire.TOPIC_SCHEMA)}))

    def _send_identity(self) -> None:
        try:
            message = wire.encode_identity(
                self._identities,
                stream=self.stream,
                seq=self._next_seq(wire.TOPIC_IDENTITY),
                schema=self._revision,
                t_publish_ns=time.monotonic_ns(),
            )
        except PublishError as error:
            logger.warning("identity not sent: %s", error)
            return
        self._send(wire.TOPIC_IDENTITY, wire.pack(message))

    def _send_status(self) -> None:
        own: dict[str, Any] = {
            "uptime_s": time.monotonic() - self._started_s,
            "published": self._seq[wire.TOPIC_FRAME],
            "faces_withheld": self._withheld,
        }
        if self._publish_ms:
            p50, p95 = np.percentile(self._publish_ms, (50, 95))
            own["publish_ms"] = {"p50": float(p50), "p95": float(p95)}
        self._send(
            wire.TOPIC_STATUS,
            wire.pack(
                wire.encode_status(
                    {**self._status, **own},
                    stream=self.stream,
                    seq=self._next_seq(wire.TOPIC_STATUS),
                    t_publish_ns=time.monotonic_ns(),
                )
            ),
        )

    def _send_event(self, kind: str, fields: Mapping[str, Any]) -> None:
        message = wire.encode_event(
            kind,
            fields,
            stream=self.stream,
            seq=self._next_seq(wire.TOPIC_EVENT),
            t_publish_ns=time.monotonic_ns(),
            t_unix_ns=time.time_ns(),
        )
        self._send(wire.TOPIC_EVENT, wire.pack(message))

    def _send(self, topic: bytes, packed: bytes) -> None:
        self._main.send_multipart((topic, packed), zmq.NOBLOCK)

    def _next_seq(self, topic: bytes) -> int:
        seq = self._seq[topic]
        self._seq[topic] = seq + 1
        return seq

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise PublishError("the publisher is closed: publish before close()")


def _versions(known: KnownIdentity) -> tuple[int, int]:
    return known.version, 0 if known.albedo is None else known.albedo.version
