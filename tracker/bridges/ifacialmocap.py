"""iFacialMocap's text protocol: VSeeFace, VNyan, VRCFaceTracking, Blender and MotionBuilder add-ons.

One datagram a frame, ASCII: ``name-percent|...|=head#rx,ry,rz,tx,ty,tz|rightEye#rx,ry,rz|leftEye#rx,ry,rz|``; version 2 writes
``&`` for ``-``. Weights are whole percent; angles are degrees about ARKit's face axes (``axes.arkit_angles``), positions metres
in ARKit's camera axes (a head in front of the camera has a negative z). The signs were settled with captures of the app, in
which eyeLook weights and eye angles stand side by side: x + is down, y + the subject's left, and a head below the phone looks up
with a negative x.

The real app waits for a receiver to ask (a fixed word to UDP port 49983) and answers to its port 49983. On one machine both
would need that port, so the bridge sends unasked; with ``?listen=49983`` it also answers whoever asks from elsewhere, in the
version they ask for.
"""

from __future__ import annotations

import math
import socket
from collections import OrderedDict

from tracker.bridges.axes import arkit_angles
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.names import SIDE_LETTER_NAMES
from tracker.bridges.options import number, one_of
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.errors import PublishError

HANDSHAKE = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719"
VERSION_2 = b"|sendDataVersion=v2"
_SEPARATORS = {"v1": "-", "v2": "&"}
_MOST_ASKERS = 8
_LARGEST_REQUEST = 256


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``version``, ``listen``."""
    listen = number(spec, "listen", 0.0, 0.0, 65535.0)
    return IFacialMocapBridge(
        spec.host,
        spec.port,
        version=one_of(spec, "version", ("v1", "v2")),
        listen=int(listen) if "listen" in spec.options else None,
    )


class IFacialMocapBridge(Bridge):
    """Sends every frame; a face that is gone keeps its last pose with ``trackingStatus-0``.

    Args:
        host: of the receiver that gets frames unasked.
        port: of the receiver, and of those who ask.
        version: ``v1`` or ``v2``, for the receiver that did not ask.
        listen: UDP port on which receivers may ask for frames, on all interfaces; 0 takes a free one; None: nobody may.

    Raises:
        PublishError: the host is unknown or the port is taken.
    """

    keep_alive_s = 0.25

    def __init__(self, host: str, port: int, *, version: str = "v1", listen: int | None = None) -> None:
        self._port = port
        self._version = version
        self._udp = UdpSender(host, port)
        self._askers: OrderedDict[str, tuple[UdpSender, str]] = OrderedDict()
        self._inbox = None if listen is None else _bind(listen, self._udp)
        self._last: BridgeFace | None = None

    @property
    def target(self) -> str:
        waiting = f", and to whoever asks on port {self.listening_port}" if self._inbox is not None else ""
        return f"ifacialmocap to {self._udp.target}{waiting}"

    @property
    def listening_port(self) -> int | None:
        """The port on which receivers may ask, if they may."""
        return None if self._inbox is None else int(self._inbox.getsockname()[1])

    def send(self, frame: BridgeFrame) -> None:
        self._last = frame.main or self._last
        self._emit(tracked=frame.tracked)

    def keep_alive(self) -> None:
        self._emit(tracked=False)

    def close(self) -> None:
        for sender in (self._udp, *(sender for sender, _ in self._askers.values())):
            sender.close()
        if self._inbox is not None:
            self._inbox.close()

    def _emit(self, *, tracked: bool) -> None:
        self._take_requests()
        if self._last is None:
            return
        texts: dict[str, bytes] = {}
        for sender, version in ((self._udp, self._version), *self._askers.values()):
            if version not in texts:
                texts[version] = encode(self._last, version=version, tracked=tracked)
            sender.send(texts[version])

    def _take_requests(self) -> None:
        while self._inbox is not None:
            try:
                request, address = self._inbox.recvfrom(_LARGEST_REQUEST)
            except BlockingIOError:
                return
            except OSError:  # Windows reports here that an earlier datagram was refused
                continue
            version = requested_version(request)
            if version is None:
                continue
            host = str(address[0])
            if host in self._askers:
                sender, _ = self._askers.pop(host)
            else:
                sender = UdpSender(host, self._port)
            self._askers[host] = (sender, version)
            while len(self._askers) > _MOST_ASKERS:
                self._askers.popitem(last=False)[1][0].close()


def requested_version(request: bytes) -> str | None:
    """``v1`` or ``v2`` for a receiver's request to start, None for anything else."""
    request = request.rstrip(b"\0\r\n ")
    if request == HANDSHAKE:
        return "v1"
    return "v2" if request == HANDSHAKE + VERSION_2 else None


def encode(face: BridgeFace, *, version: str = "v1", tracked: bool = True) -> bytes:
    """One frame."""
    separator = _SEPARATORS[version]
    weights = [f"trackingStatus{separator}{int(tracked)}"]
    for name, weight in zip(SIDE_LETTER_NAMES, face.face.arkit.tolist(), strict=True):
        weights.append(f"{name}{separator}{round(100.0 * weight)}")
    head = [*(math.degrees(angle) for angle in arkit_angles(face.rotation)), *face.position.tolist()]
    parts = [f"=head#{_numbers(head)}"]
    for side, gaze in (("right", face.face.gaze_right), ("left", face.face.gaze_left)):
        parts.append(f"{side}Eye#{_numbers([-math.degrees(gaze[1]), math.degrees(gaze[0]), 0.0])}")
    return ("|".join([*weights, *parts]) + "|").encode("ascii")


def _numbers(values: list[float]) -> str:
    return ",".join(f"{value:.6f}" for value in values)


def _bind(port: int, udp: UdpSender) -> socket.socket:
    inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        inbox.bind(("", port))
    except OSError as error:
        inbox.close()
        udp.close()
        raise PublishError(
            f"ifacialmocap cannot listen on UDP port {port}: {error.strerror}; a receiver on this machine holds it, "
            "and gets frames without asking: leave ?listen= away"
        ) from error
    inbox.setblocking(False)
    return inbox
