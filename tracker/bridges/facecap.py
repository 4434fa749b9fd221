"""Face Cap's live mode (OSC over UDP), which Blender add-ons, TouchDesigner and MotionBuilder read.

``/HT fff`` head position, ``/HR fff`` and ``/HRQ ffff`` its rotation in degrees and as a quaternion xyzw, ``/ELR ff`` and
``/ERR ff`` the eyes' x and y angles in degrees, ``/W if`` one weight by its number in Apple's order. Axes and signs are ARKit's
(``axes.arkit_angles``): Face Cap's own receiver for Unity composes the angles in the order y, x, z and mirrors x, which is
how right-handed ARKit angles come into Unity. Its position goes into Unity as it is, hence metres; ``?unit=cm`` for
receivers that expect centimetres.
"""

from __future__ import annotations

import math

from tracker.bridges.axes import arkit_angles
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.names import FACE_CAP_INDICES
from tracker.bridges.options import one_of
from tracker.bridges.osc import OscMessage, bundles, pack_all
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.rotations import quaternion_from_matrix

_MESSAGES = (
    OscMessage("/HT", "fff"),
    OscMessage("/HR", "fff"),
    OscMessage("/HRQ", "ffff"),
    OscMessage("/ELR", "ff"),
    OscMessage("/ERR", "ff"),
    *(OscMessage("/W", "if") for _ in FACE_CAP_INDICES),
)


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``unit``."""
    return FaceCapBridge(spec.host, spec.port, unit=one_of(spec, "unit", ("m", "cm")))


class FaceCapBridge(Bridge):
    """Sends pose, eyes and weights; nothing while nobody is there, as the app does."""

    def __init__(self, host: str, port: int, *, unit: str = "m") -> None:
        self._udp = UdpSender(host, port)
        self._bundles = bundles(_MESSAGES)
        self._scale = 100.0 if unit == "cm" else 1.0

    @property
    def target(self) -> str:
        return f"facecap to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        if frame.main is not None and frame.tracked:
            for datagram in self.encode(frame.main):
                self._udp.send(datagram)

    def encode(self, face: BridgeFace) -> list[bytes]:
        """The datagrams of one frame."""
        left, right = face.face.gaze_left, face.face.gaze_right
        numbers: list[float] = [
            *(self._scale * face.position).tolist(),
            *(math.degrees(angle) for angle in arkit_angles(face.rotation)),
            *quaternion_from_matrix(face.rotation).tolist(),
            *(math.degrees(angle) for angle in (-left[1], left[0], -right[1], right[0])),
        ]
        weights = face.face.arkit.tolist()
        for number, index in enumerate(FACE_CAP_INDICES):
            numbers += (number, weights[index])
        return pack_all(self._bundles, numbers)

    def close(self) -> None:
        self._udp.close()
