"""VMC protocol (OSC over UDP): VSeeFace, Virtual Motion Capture, Warudo, VNyan, Unity and Unreal receivers.

We are an *assistant* and send to a *performer* (port 39540), which owns the avatar and its other bones. Bone rotations are local,
in Unity's left-handed y-up axes; the head's turn is shared between neck and head. Expressions go out under ARKit's names
(Perfect Sync) and as VRM presets. Values take effect with ``Blend/Apply``, which ends the last datagram of a frame.
"""

from __future__ import annotations

import time

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.axes import eye_rotation, unity_quaternion
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.names import capital
from tracker.bridges.options import number, one_of
from tracker.bridges.osc import OscMessage, bundles, pack_all
from tracker.bridges.presets import VRM0, VRM1, preset_values
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.rotations import matrix_from_rotvec, rotvec_from_matrix

_BONES = ("Neck", "Head", "LeftEye", "RightEye")


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``neck``, ``presets``, ``names``."""
    return VmcBridge(
        spec.host,
        spec.port,
        neck=number(spec, "neck", 0.4, 0.0, 1.0),
        presets=one_of(spec, "presets", ("vrm0", "vrm1", "both", "none")),
        names=one_of(spec, "names", ("both", "arkit", "capital", "none")),
    )


class VmcBridge(Bridge):
    """Sends bones and expressions. While nobody is there the last pose is kept alive, as performers expect.

    Args:
        host: of the performer.
        port: of the performer.
        neck: share of the head's turn that the neck takes, 0..1.
        presets: VRM preset names to send: ``vrm0``, ``vrm1``, ``both`` or ``none``.
        names: spelling of ARKit's names: ``arkit`` (jawOpen), ``capital`` (JawOpen), ``both``, since avatars have either and
            receivers skip names they do not know, or ``none``.
    """

    keep_alive_s = 0.5

    def __init__(self, host: str, port: int, *, neck: float = 0.4, presets: str = "vrm0", names: str = "both") -> None:
        self._udp = UdpSender(host, port)
        self._neck = neck
        self._vrm0, self._vrm1 = presets in ("vrm0", "both"), presets in ("vrm1", "both")
        self._spellings = {"both": 2, "none": 0}.get(names, 1)
        blend = list(ARKIT_NAMES) if names in ("both", "arkit") else []
        blend += [capital(name) for name in ARKIT_NAMES] if names in ("both", "capital") else []
        blend += [*(VRM0 if self._vrm0 else ()), *(VRM1 if self._vrm1 else ())]
        self._bundles = bundles(
            [
                OscMessage("/VMC/Ext/OK", "i"),
                OscMessage("/VMC/Ext/T", "f"),
                *(OscMessage("/VMC/Ext/Bone/Pos", "fffffff", bone) for bone in _BONES),
                *(OscMessage("/VMC/Ext/Blend/Val", "f", name) for name in blend),
            ],
            [OscMessage("/VMC/Ext/Blend/Apply")],
        )
        self._started_s = time.monotonic()
        self._last: BridgeFace | None = None

    @property
    def target(self) -> str:
        return f"vmc to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        self._last = frame.main or self._last
        self.keep_alive()

    def keep_alive(self) -> None:
        if self._last is not None:
            for datagram in self.encode(self._last, time.monotonic() - self._started_s):
                self._udp.send(datagram)

    def encode(self, face: BridgeFace, time_s: float) -> list[bytes]:
        """The datagrams of one frame; ``time_s`` since the bridge began tells receivers that it is alive."""
        numbers: list[float] = [1, time_s, *self._numbers(face)]
        return pack_all(self._bundles, numbers)

    def close(self) -> None:
        self._udp.close()

    def _numbers(self, main: BridgeFace) -> list[float]:
        neck = matrix_from_rotvec(self._neck * rotvec_from_matrix(main.rotation))
        rotations = (
            neck,
            neck.T @ main.rotation,
            eye_rotation(main.face.gaze_left),
            eye_rotation(main.face.gaze_right),
        )
        numbers: list[float] = []
        for rotation in rotations:
            numbers += [0.0, 0.0, 0.0, *unity_quaternion(rotation).tolist()]
        numbers += main.face.arkit.tolist() * self._spellings
        presets = preset_values(main)
        if self._vrm0:
            numbers += [presets[key] for key in VRM0.values()]
        if self._vrm1:
            numbers += [presets[key] for key in VRM1.values()]
        return numbers
