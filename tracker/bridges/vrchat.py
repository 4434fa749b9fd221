"""VRChat over OSC: VRCFaceTracking's v2 avatar parameters, and VRChat's own eye tracking.

Parameters are floats at ``/avatar/parameters/PREFIXv2/NAME`` (``unified.v2_parameters``), beside the switches
``EyeTrackingActive``, ``ExpressionTrackingActive`` and ``LipTrackingActive``; VRChat ignores those that the avatar does not have.
The eyes of any avatar follow ``/tracking/eye/LeftRightPitchYaw`` (degrees, + down and + right) and
``/tracking/eye/EyesClosedAmount`` (0 open, 1 closed), until ten seconds pass without data.

When the face is lost, parameters return to rest once and the switches go off; nothing more is sent about the eyes, so that VRChat
looks around by itself after its ten seconds.
"""

from __future__ import annotations

import math

from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.options import one_of
from tracker.bridges.osc import OscMessage, bundles, message_bytes
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.bridges.unified import openness, v2_parameters
from tracker.errors import ConfigError

_SWITCHES = ("EyeTrackingActive", "ExpressionTrackingActive", "LipTrackingActive")
_NATIVE = (OscMessage("/tracking/eye/LeftRightPitchYaw", "ffff"), OscMessage("/tracking/eye/EyesClosedAmount", "f"))
_AT_REST = {"EyeOpen": 1.0, "EyeLid": 0.75}


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``prefix``, ``send``."""
    return VRChatBridge(
        spec.host,
        spec.port,
        prefix=spec.options.get("prefix", "FT/"),
        send=one_of(spec, "send", ("both", "avatar", "native")),
    )


class VRChatBridge(Bridge):
    """Sends avatar parameters and native eye tracking.

    Args:
        host: where VRChat runs.
        port: VRChat's OSC input.
        prefix: what stands before ``v2/`` in the avatar's parameters, such as ``FT/``; may be empty.
        send: ``avatar`` parameters, ``native`` eye tracking or ``both``.
    """

    keep_alive_s = 2.0

    def __init__(self, host: str, port: int, *, prefix: str = "FT/", send: str = "both") -> None:
        if not prefix.isascii() or any(letter in prefix for letter in " #*,?[]{}") or len(prefix) > 64:
            raise ConfigError(f"vrchat: prefix must be part of an OSC address such as FT/, got '{prefix}'")
        self._udp = UdpSender(host, port)
        self._native = bundles(_NATIVE) if send != "avatar" else []
        self._names: tuple[str, ...] = ()
        self._root = f"/avatar/parameters/{prefix}"
        self._wants_avatar = send != "native"
        self._avatar = bundles([])
        self._active: bool | None = None

    @property
    def target(self) -> str:
        return f"vrchat to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        if frame.main is not None and frame.tracked:
            self._switch(True)
            for datagram in self.encode(frame.main):
                self._udp.send(datagram)
        else:
            self._lose()

    def keep_alive(self) -> None:
        self._lose()

    def close(self) -> None:
        if self._active:
            self._lose()
        self._udp.close()

    def encode(self, face: BridgeFace) -> list[bytes]:
        """The datagrams of one frame."""
        datagrams = [bundle.pack(_native_numbers(face)) for bundle in self._native]
        if self._wants_avatar:
            datagrams += self._parameters(v2_parameters(face))
        return datagrams

    def encode_switches(self, active: bool) -> list[bytes]:
        """The switches, of which OSC has two types, true and false."""
        if not self._wants_avatar:
            return []
        return [message_bytes(OscMessage(self._root + name, "T" if active else "F")) for name in _SWITCHES]

    def _parameters(self, values: dict[str, float]) -> list[bytes]:
        if not self._names:
            self._names = tuple(values)
            self._avatar = bundles([OscMessage(f"{self._root}v2/{name}", "f") for name in self._names])
        numbers = [values[name] for name in self._names]
        datagrams = []
        for bundle in self._avatar:
            datagrams.append(bundle.pack(numbers[: bundle.count]))
            del numbers[: bundle.count]
        return datagrams

    def _switch(self, active: bool) -> None:
        if active != self._active:
            self._active = active
            for datagram in self.encode_switches(active):
                self._udp.send(datagram)

    def _lose(self) -> None:
        if self._active is not False and self._names:
            for datagram in self._parameters({name: _rest(name) for name in self._names}):
                self._udp.send(datagram)
        self._switch(False)


def _rest(name: str) -> float:
    return next((value for start, value in _AT_REST.items() if name.startswith(start)), 0.0)


def _native_numbers(face: BridgeFace) -> tuple[float, ...]:
    left, right = face.face.gaze_left, face.face.gaze_right
    closed = 1.0 - 0.5 * (openness(face, "Left") + openness(face, "Right"))
    angles = (-left[1], -left[0], -right[1], -right[0])
    return (*(math.degrees(angle) for angle in angles), closed)
