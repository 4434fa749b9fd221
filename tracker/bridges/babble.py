"""Project Babble (OSC over UDP): VRCFaceTracking's Babble module and everything else that reads its lower face.

One message ``/name f`` per datagram, because the module takes one message from each. The names are ARKit's of mouth, jaw, nose
and cheeks, with halves of ``cheekPuff``, which newer modules read; older ones read ``/cheekPuff``, so both are sent. The tongue
is out or in; its other shapes and sucked-in cheeks cannot be told from ARKit's weights and are left alone.
"""

from __future__ import annotations

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.osc import OscMessage, message_bytes
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender

_LOWER_FACE = ("cheekPuff", "jaw", "mouth", "noseSneer", "tongue")
_ARKIT = tuple(name for name in ARKIT_NAMES if name.startswith(_LOWER_FACE))
_SOURCES = {name: ARKIT_INDEX[name] for name in _ARKIT} | {
    "cheekPuffLeft": ARKIT_INDEX["cheekPuff"],
    "cheekPuffRight": ARKIT_INDEX["cheekPuff"],
}
_MESSAGES = tuple((OscMessage(f"/{name}", "f"), index) for name, index in _SOURCES.items())


def open_bridge(spec: BridgeSpec) -> Bridge:
    """No options."""
    return BabbleBridge(spec.host, spec.port)


class BabbleBridge(Bridge):
    """Sends the lower face; nothing while nobody is there, as the app does."""

    def __init__(self, host: str, port: int) -> None:
        self._udp = UdpSender(host, port)

    @property
    def target(self) -> str:
        return f"babble to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        if frame.main is not None and frame.tracked:
            for datagram in encode(frame.main):
                self._udp.send(datagram)

    def close(self) -> None:
        self._udp.close()


def encode(face: BridgeFace) -> list[bytes]:
    """The datagrams of one frame."""
    weights = face.face.arkit.tolist()
    return [message_bytes(message, (weights[index],)) for message, index in _MESSAGES]
