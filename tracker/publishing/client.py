"""Reading the stream: a subscriber for both endpoints, control requests, and the clock offset to the tracker's host."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import zmq

from tracker.errors import PublishError
from tracker.publishing import wire
from tracker.publishing.connection import Connection
from tracker.publishing.decoding import decode_message
from tracker.publishing.results import to_identity
from tracker.types import KnownIdentity


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came."""

    topic: bytes
    payload: dict[str, Any]
    """Decoded, see ``wire``."""
    size: int
    """Bytes of topic and payload."""
    t_receive_ns: int
    """CLOCK_MONOTONIC of this process when the message was taken from the socket."""


class Subscriber:
    """Connects to a tracker's stream and decodes it. It may start before the tracker does, and survives its restart.

    Args:
        endpoint: the main endpoint, or with ``latest`` the latest-only one.
        topics: topics to subscribe to; ignored with ``latest``, which carries frames only.
        latest: keep only the newest frame while the caller is busy (CONFLATE).
        curve_keys: the client's key folder, see ``security``.

    Raises:
        PublishError: the keys or the endpoint are unusable.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        topics: Iterable[bytes] = (b"face/",),
        latest: bool = False,
        curve_keys: Path | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.schema: dict[str, Any] | None = None
        self.identities: dict[int, KnownIdentity] = {}
        """Face id -> (version, (Ni,) coefficients), as last announced."""
        self.dropped = 0
        """Frames of the present stream that did not arrive."""
        self._latest = latest
        self._stream, self._seq = "", -1
        # With CONFLATE a second subscription would overwrite the first one on its way out.
        self._topics = (wire.LATEST_PREFIX,) if latest else tuple(topics)
        self._connection = Connection(zmq.SUB, endpoint, curve_keys, self._prepare)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message of a known topic, or None when none came in time; None for ``timeout_s`` waits for ever.

        Raises:
            PublishError: a message is unreadable. The next call goes on with the next message.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._connection.wait(None if deadline is None else max(0.0, deadline - time.monotonic())):
            parts = self._connection.socket.recv_multipart()
            t_receive_ns = time.monotonic_ns()
            topic, payload = self._split(parts)
            decoded = decode_message(topic, payload)
            if decoded is not None:
                self._note(topic, decoded)
                return Message(topic, decoded, sum(map(len, parts)), t_receive_ns)
        return None

    def receive_newest_frame(self, timeout_s: float | None = None) -> Message | None:
        """The newest frame message, skipping older ones that queued up; None when none came in time.

        Raises:
            PublishError: a message is unreadable.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        newest: Message | None = None
        while True:
            if newest is not None:
                wait_s: float | None = 0.0
            else:
                wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            message = self.receive(wait_s)
            if message is None:
                return newest
            if message.topic == wire.TOPIC_FRAME:
                newest = message

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._connection.close()

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        if self._latest:
            socket.set(zmq.CONFLATE, 1)
        for topic in self._topics:
            socket.subscribe(topic)

    def _split(self, parts: list[bytes]) -> tuple[bytes, bytes | memoryview]:
        if self._latest:
            if len(parts) == 1 and parts[0].startswith(wire.LATEST_PREFIX):
                return wire.TOPIC_FRAME, memoryview(parts[0])[len(wire.LATEST_PREFIX) :]
        elif len(parts) == 2:
            return parts[0], parts[1]
        raise PublishError(
            f"{self.endpoint} sends messages of {len(parts)} parts that are not a tracker's "
            f"{'latest-only' if self._latest else 'main'} stream: check the port (main 5556, latest-only 5558)"
        )

    def _note(self, topic: bytes, payload: Mapping[str, Any]) -> None:
        stream = payload.get("stream", "")
        if stream != self._stream:
            self._stream, self._seq, self.dropped = stream, -1, 0
            self.schema, self.identities = None, {}
        if topic == wire.TOPIC_SCHEMA:
            self.schema = dict(payload)
        elif topic == wire.TOPIC_IDENTITY:
            self.identities = {face["id"]: to_identity(face) for face in payload["faces"]}
        elif topic == wire.TOPIC_FRAME:
            if self._seq >= 0:
                self.dropped += max(0, payload["seq"] - self._seq - 1)
            self._seq = payload["seq"]


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """What to add to this process's CLOCK_MONOTONIC to get the tracker's."""

    offset_ns: int
    roundtrip_ns: int
    """Round trip of the sample that was used; the offset is right to half of it."""
    samples: int


DEFAULT_CONTROL_TIMEOUT_S: Final = 1.0


def request(
    endpoint: str,
    command: str,
    *,
    timeout_s: float = DEFAULT_CONTROL_TIMEOUT_S,
    curve_keys: Path | None = None,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Send one control request, with ``fields`` beside its ``cmd``, and return the answer.

    Raises:
        PublishError: nobody answers in time, the answer is unreadable, or the tracker reports an error.
    """
    with _ControlClient(endpoint, timeout_s, curve_keys) as client:
        return client.ask({**(fields or {}), "cmd": command})


def estimate_clock_offset(
    endpoint: str,
    *,
    samples: int = 20,
    timeout_s: float = DEFAULT_CONTROL_TIMEOUT_S,
    curve_keys: Path | None = None,
) -> ClockOffset:
    """The offset between two hosts' monotonic clocks by repeated time echoes: offset = t_host - (t1 + t2) / 2.

    The sample with the shortest round trip is used, since queueing can only lengthen it (Cristian 1989).

    Raises:
        PublishError: nobody answers in time.
    """
    best: ClockOffset | None = None
    with _ControlClient(endpoint, timeout_s, curve_keys) as client:
        for _ in range(samples):
            t1 = time.monotonic_ns()
            answer = client.ask({"cmd": "time", "t1": t1})
            t2 = time.monotonic_ns()
            if best is None or t2 - t1 < best.roundtrip_ns:
                best = ClockOffset(int(answer["t_host"]) - (t1 + t2) // 2, t2 - t1, samples)
    if best is None:
        raise PublishError(f"the clock offset needs at least one sample, got samples={samples}")
    return best


class _ControlClient:
    """One REQ connection."""

    def __init__(self, endpoint: str, timeout_s: float, curve_keys: Path | None) -> None:
        self._connection = Connection(zmq.REQ, endpoint, curve_keys)
        self._endpoint, self._timeout_s = endpoint, timeout_s

    def __enter__(self) -> _ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self._connection.socket.send(json.dumps(message).encode())
        if not self._connection.wait(self._timeout_s):
            raise PublishError(
                f"no tracker answered at {self._endpoint} within {self._timeout_s:g} s: start one with 'tracker run', "
                "or name its control endpoint with --connect"
            )
        try:
            answer = json.loads(self._connection.socket.recv())
        except ValueError as error:
            raise PublishError(f"{self._endpoint} does not answer in JSON: is it a tracker's control port?") from error
        if not isinstance(answer, dict):
            raise PublishError(f"{self._endpoint} does not answer with a JSON map: is it a tracker's control port?")
        if "error" in answer:
            raise PublishError(f"the tracker at {self._endpoint} says: {answer['error']}")
        return answer
