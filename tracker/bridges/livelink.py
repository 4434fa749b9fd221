"""Live Link Face, packet version 6: Unreal Engine and everything that reads Apple's face capture over UDP.

Big-endian: version u8, device id and subject name with i32 lengths, qualified frame time (frame i32, sub-frame f32, rate i32 /
i32), then a count u8 of 61 and 61 f32: ARKit's 52 weights in Unreal's order, head yaw, pitch, roll, and yaw, pitch, roll of
both eyes in radians. Without a face the packet ends after the frame time. VRCFaceTracking accepts datagrams of 312 bytes only,
which is what a UUID as device id and a subject name of six bytes give.

The signs differ between head and eyes, and are the app's. Head: yaw + to the subject's left, pitch + up, roll + to the right
shoulder; what others measured on a MetaHuman in Unreal 5.8, and what VRCFaceTracking's module turns into its own (right, down,
left shoulder). Eyes: yaw + to the subject's right, pitch + down; from takes that the app recorded, where EyeLookOut and EyeLook
weights stand beside the angles (0.50 out on the left and 0.38 up go with a yaw of -0.36 and a pitch of -0.17), and from the
same module. A MetaHuman turns its head by 50 degrees per unit rather than 57.3, which is between it and the app.
"""

from __future__ import annotations

import struct
import time
import uuid
from datetime import datetime
from fractions import Fraction

from tracker.bridges.axes import yaw_pitch_roll
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.errors import ConfigError

_VERSION = 6
_VALUES = 61
_LONGEST_NAME = 256


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``subject``, ``device``."""
    return LiveLinkBridge(spec.host, spec.port, spec.options.get("subject", "iPhone"), spec.options.get("device"))


class LiveLinkBridge(Bridge):
    """Sends one packet a frame, a face-lost packet when nobody is there."""

    keep_alive_s = 1.0

    def __init__(self, host: str, port: int, subject: str = "iPhone", device: str | None = None) -> None:
        # The same machine is the same device every time, so that Unreal does not list a new source after each start.
        self._device = device or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{uuid.getnode():x}.face-tracker")).upper()
        self._subject = subject
        for what, text in (("subject", subject), ("device", self._device)):
            if not 1 <= len(text.encode()) <= _LONGEST_NAME:
                raise ConfigError(f"livelink: {what} must have 1..{_LONGEST_NAME} bytes, got {len(text.encode())}")
        self._udp = UdpSender(host, port)
        self._rate = Fraction(30)

    @property
    def target(self) -> str:
        return f"livelink to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        self._rate = frame.rate
        face = frame.main if frame.tracked else None
        self._emit(frame.result.t_unix_ns, face)

    def keep_alive(self) -> None:
        self._emit(time.time_ns(), None)

    def close(self) -> None:
        self._udp.close()

    def _emit(self, t_unix_ns: int, face: BridgeFace | None) -> None:
        self._udp.send(encode(self._device, self._subject, since_midnight_ns(t_unix_ns), self._rate, face))


def since_midnight_ns(t_unix_ns: int) -> int:
    """Nanoseconds since local midnight."""
    moment = datetime.fromtimestamp(t_unix_ns // 1_000_000_000)
    return (moment.hour * 3600 + moment.minute * 60 + moment.second) * 10**9 + t_unix_ns % 10**9


def encode(device: str, subject: str, t_day_ns: int, rate: Fraction, face: BridgeFace | None) -> bytes:
    """One packet. ``t_day_ns``, nanoseconds since midnight, becomes the frame number at ``rate``."""
    device_bytes, subject_bytes = device.encode(), subject.encode()
    frames = Fraction(t_day_ns, 10**9) * rate
    number = int(frames)
    head = struct.pack(
        f">Bi{len(device_bytes)}si{len(subject_bytes)}sifii",
        _VERSION, len(device_bytes), device_bytes, len(subject_bytes), subject_bytes,
        number, float(frames - number), rate.numerator, rate.denominator,
    )  # fmt: skip
    if face is None:
        return head
    return head + struct.pack(f">B{_VALUES}f", _VALUES, *values(face))


def values(face: BridgeFace) -> tuple[float, ...]:
    """The 61 numbers: 52 weights, head yaw, pitch, roll, left eye yaw, pitch, roll, right eye yaw, pitch, roll; radians."""
    yaw, pitch, roll = yaw_pitch_roll(face.rotation)
    left, right = face.face.gaze_left, face.face.gaze_right
    eyes = (-float(left[0]), -float(left[1]), 0.0, -float(right[0]), -float(right[1]), 0.0)
    return (*face.face.arkit.tolist(), yaw, pitch, -roll, *eyes)
