"""The tracker's stream (docs/wire.md), drained to its newest frame without ever waiting."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arkit import ARKIT_NAMES
from .msgpack_decode import unpack
from .samples import Sample
from .zmtp import Peer, parse_endpoint

WIRE_VERSION = 1
_RATE_WINDOW_S = 2.0
_LOCAL = ("127.", "localhost", "::1", "/", "@")


class StreamError(Exception):
    """A message that this add-on cannot use, in a line."""


@dataclass(frozen=True)
class FaceState:
    """A face of the stream."""

    id: int
    tracked: bool
    confidence: float
    area_px: float
    """Of its bounding box."""
    sample: Sample


@dataclass(frozen=True)
class Frame:
    """A frame of the stream."""

    stream: str
    seq: int
    t_capture_ns: int
    t_publish_ns: int
    arrival_ns: int
    """CLOCK_MONOTONIC here."""
    image: tuple[int, int]
    focal_px: float
    centre_px: tuple[float, float]
    """Principal point."""
    faces: tuple[FaceState, ...]


@dataclass
class Feed:
    """A subscription that survives restarts of the tracker.

    Raises:
        ValueError: the endpoint is unusable.
    """

    endpoint: str
    schema: dict[str, Any] | None = None
    identities: dict[int, tuple[int, NDArray[np.float32]]] = field(default_factory=dict)
    """Face id -> (version, coefficients)."""
    latest: Frame | None = None
    dropped: int = 0
    """Frames of this stream that did not arrive."""
    latency_ms: float | None = None
    """From publishing to here; None for trackers on other machines, whose clock is not ours."""
    mistake: str = ""
    """Why messages that do come cannot be used."""
    restarts: int = 0

    def __post_init__(self) -> None:
        self._peer = Peer(self.endpoint, "SUB", (b"face/",))
        self._local = parse_endpoint(self.endpoint)[0].startswith(_LOCAL)
        self._recent: deque[tuple[int, int]] = deque()
        self._arrived_at = 0.0
        self._seq: int | None = None
        self._stream = self._identity_stream = ""

    @property
    def connected(self) -> bool:
        return self._peer.ready

    @property
    def fps(self) -> float:
        """Frames that were published per second, over the last two; 0 while none arrive."""
        if len(self._recent) < 2 or time.monotonic() - self._arrived_at > _RATE_WINDOW_S:
            return 0.0
        # By the publisher's clock: frames arrive here in heaps when Blender is busy.
        (first_ns, first), (last_ns, last) = self._recent[0], self._recent[-1]
        return (last - first) * 1e9 / max(1, last_ns - first_ns)

    @property
    def state(self) -> str:
        """What to show a person, in a line."""
        if self.mistake:
            return self.mistake
        if not self._peer.ready:
            return self._peer.problem or f"connecting to {self.endpoint}"
        if self.schema is None:
            return "connected, waiting for the schema"
        if time.monotonic() - self._arrived_at > _RATE_WINDOW_S:
            return "connected, no frames"
        return "tracking" if self.latest is not None and self.latest.faces else "connected, nobody there"

    def close(self) -> None:
        self._peer.close()

    def poll(self, *, every_frame: bool = False) -> list[Frame]:
        """Take all that has come: the newest frame, or with ``every_frame`` all of them, oldest first."""
        payloads: list[tuple[bytes, int]] = []
        for message in self._peer.poll():
            if len(message) != 2:
                continue
            topic, payload = message
            if topic == b"face/frame/":
                self._arrived_at = time.monotonic()
                payloads.append((payload, time.monotonic_ns()))
            else:
                self._take(topic, payload)
        frames = []
        skipped = 0 if every_frame else max(0, len(payloads) - 1)
        for index, (payload, arrival_ns) in enumerate(payloads[skipped:]):
            try:
                frame = decode_frame(payload, arrival_ns)
            except StreamError as error:
                self.mistake = str(error)
                continue
            self.mistake = ""
            self._follow(frame, skipped if index == 0 else 0)
            # Frames from before the schema say numbers without names.
            if self.schema is not None:
                frames.append(frame)
        return frames

    def _follow(self, frame: Frame, skipped: int) -> None:
        if frame.stream != self._stream:
            if self._stream:
                self.restarts += 1
                if self.schema is not None and self.schema.get("stream") != frame.stream:
                    self.schema = None
            self._stream, self._seq, self.dropped = frame.stream, None, 0
            self._recent.clear()
        if self._seq is not None:
            self.dropped += max(0, frame.seq - self._seq - 1 - skipped)
        self._seq = frame.seq
        self.latest = frame
        self._recent.append((frame.t_publish_ns, frame.seq))
        while frame.t_publish_ns - self._recent[0][0] > _RATE_WINDOW_S * 1e9:
            self._recent.popleft()
        if self._local:
            self.latency_ms = max(0, frame.arrival_ns - frame.t_publish_ns) / 1e6

    def _take(self, topic: bytes, payload: bytes) -> None:
        if topic not in (b"face/schema/", b"face/identity/"):
            return
        try:
            message = _unpack(payload)
            if topic == b"face/schema/":
                if tuple(message["arkit_names"]) != ARKIT_NAMES:
                    raise StreamError("the tracker's arkit_names are not the 52 that this add-on knows")
                self.schema = message
            else:
                if message["stream"] != self._identity_stream:
                    self._identity_stream, self.identities = message["stream"], {}
                for face in message["faces"]:
                    shape = np.frombuffer(face["shape"], "<f4")
                    if np.isfinite(shape).all():
                        self.identities[int(face["id"])] = int(face["version"]), shape
            self.mistake = ""
        except StreamError as error:
            self.mistake = str(error)
        except (KeyError, TypeError, ValueError) as error:
            self.mistake = f"a {topic.decode()} message cannot be read ({error})"


def decode_frame(payload: bytes, arrival_ns: int) -> Frame:
    """A ``face/frame/`` payload.

    Raises:
        StreamError: it is damaged, of another version, or a value is missing, of a wrong size or not finite.
    """
    message = _unpack(payload)
    try:
        camera = _floats(message["K"], 9)
        return Frame(
            stream=str(message["stream"]),
            seq=int(message["seq"]),
            t_capture_ns=int(message["t_capture"]),
            t_publish_ns=int(message["t_publish"]),
            arrival_ns=arrival_ns,
            image=(int(message["image"][0]), int(message["image"][1])),
            focal_px=float(camera[0]),
            centre_px=(float(camera[2]), float(camera[5])),
            faces=tuple(_face(face) for face in message["faces"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StreamError(f"a face/frame/ message cannot be read ({type(error).__name__}: {error})") from error


def _face(face: dict[str, Any]) -> FaceState:
    return FaceState(
        id=int(face["id"]),
        tracked=bool(face["tracked"]),
        confidence=float(face["confidence"]),
        area_px=float(face["bbox"][2]) * float(face["bbox"][3]),
        sample=Sample(
            _floats(face["arkit"], len(ARKIT_NAMES)),
            _floats(face["head"]["quaternion"], 4),
            _floats(face["head"]["position"], 3),
            np.stack([_floats(face["gaze"]["left"], 2), _floats(face["gaze"]["right"], 2)]),
        ),
    )


def _unpack(payload: bytes) -> dict[str, Any]:
    try:
        message = unpack(payload)
    except ValueError as error:
        raise StreamError(f"a message of {len(payload)} bytes is damaged ({error})") from error
    if not isinstance(message, dict):
        raise StreamError(f"a message is no map but {type(message).__name__}")
    if message.get("v") != WIRE_VERSION:
        raise StreamError(
            f"the tracker speaks version {message.get('v')} of the stream, this add-on {WIRE_VERSION}: update the older one"
        )
    return message


def _floats(blob: Any, count: int) -> NDArray[np.float32]:
    values = np.frombuffer(blob, "<f4")
    if values.size != count:
        raise ValueError(f"{count} numbers expected, {values.size} came")
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinity")
    return values


class ControlRequest:
    """One question to the control socket, answered some ``poll`` later.

    Raises:
        ValueError: the endpoint is unusable.
    """

    def __init__(self, endpoint: str, command: str, timeout_s: float = 2.0) -> None:
        self.answer: dict[str, Any] | None = None
        """What came back; a failure is ``{"error": line}``."""
        self._peer = Peer(endpoint, "REQ")
        self._peer.send(b"", json.dumps({"cmd": command}).encode())
        self._deadline = time.monotonic() + timeout_s

    def poll(self) -> bool:
        """True when it is over and ``answer`` is there."""
        for message in self._peer.poll():
            try:
                answer = json.loads(message[-1])
            except ValueError:
                answer = None
            self.answer = answer if isinstance(answer, dict) else {"error": "the answer is unreadable"}
        if self.answer is None and time.monotonic() > self._deadline:
            self.answer = {"error": self._peer.problem or f"no answer from {self._peer.endpoint}"}
        if self.answer is not None:
            self._peer.close()
        return self.answer is not None

    def close(self) -> None:
        self._peer.close()
