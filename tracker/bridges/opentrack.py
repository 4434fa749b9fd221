"""opentrack's "UDP over network": 48 bytes, six little-endian f64: x, y, z in centimetres, yaw, pitch, roll in degrees.

opentrack passes the numbers on as they are (``tracker-udp``), so their meaning is that of its own trackers. Two of those, which
start from known axes (``tracker-rift-140``, and the one that reads paper markers with OpenCV), agree: x + to the subject's left,
y + up, z + away from the camera; yaw + to the subject's right, pitch + up, roll + to the left shoulder. A NaN makes it drop the
packet. Without a face nothing is sent: opentrack keeps the last pose.
"""

from __future__ import annotations

import math
import struct

from tracker.bridges.axes import yaw_pitch_roll
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender


def open_bridge(spec: BridgeSpec) -> Bridge:
    """No options."""
    return OpentrackBridge(spec.host, spec.port)


class OpentrackBridge(Bridge):
    """Sends the head pose."""

    def __init__(self, host: str, port: int) -> None:
        self._udp = UdpSender(host, port)

    @property
    def target(self) -> str:
        return f"opentrack to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        if frame.main is not None and frame.tracked:
            self._udp.send(encode(frame.main))

    def close(self) -> None:
        self._udp.close()


def encode(face: BridgeFace) -> bytes:
    """One packet."""
    yaw, pitch, roll = (math.degrees(angle) for angle in yaw_pitch_roll(face.rotation))
    x, y, z = (100.0 * float(length) for length in face.position)
    return struct.pack("<6d", x, y, -z, -yaw, pitch, roll)
