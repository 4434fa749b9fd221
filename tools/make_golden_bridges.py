"""Write tests/golden/bridge_*.bin: one frame of fixed content in each protocol, for the tests and for authors of receivers.

    python tools/make_golden_bridges.py            # rewrite the files
    python tools/make_golden_bridges.py --check    # exit 1 if a file differs

A frame of several datagrams lies in its file as a little-endian u32 length before each. The face is turned 20 degrees to its
left, looks up by 10 and tilts to its left shoulder by 5, half a metre away; its eyes look to its right and down.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.golden_files import write_or_check  # noqa: E402
from tools.make_golden_wire import make_face, make_result  # noqa: E402
from tracker.bridges import babble, ifacialmocap, livelink, lsl, openseeface, opentrack, vts_parameters  # noqa: E402
from tracker.bridges import vts_protocol as vts  # noqa: E402
from tracker.bridges.bridge import BridgeFace, BridgeFrame  # noqa: E402
from tracker.bridges.facecap import FaceCapBridge  # noqa: E402
from tracker.bridges.vmc import VmcBridge  # noqa: E402
from tracker.bridges.vrchat import VRChatBridge  # noqa: E402
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix  # noqa: E402
from tracker.types import Face  # noqa: E402

DEVICE = "B9CAFDC4-611A-4AFE-97FF-39301099FA11"
YAW, PITCH, ROLL = (math.radians(angle) for angle in (20.0, 10.0, 5.0))
SINCE_MIDNIGHT_NS = 45_296_789_000_000
RATE = Fraction(30000, 1001)
POSITION_M = (0.0625, -0.03125, 0.5)


def posed_face() -> Face:
    """The face of the module's docstring; weight number i of 52 is i/64."""
    turned = (
        matrix_from_rotvec(np.array([0.0, YAW, 0.0]))
        @ matrix_from_rotvec(np.array([-PITCH, 0.0, 0.0]))
        @ matrix_from_rotvec(np.array([0.0, 0.0, -ROLL]))
    )
    return replace(
        make_face(1),
        position=np.array(POSITION_M, np.float32),
        quaternion=quaternion_from_matrix(np.diag([1.0, -1.0, -1.0]) @ turned).astype(np.float32),
        gaze_left=np.array([-0.25, -0.125], np.float32),
        gaze_right=np.array([-0.1875, -0.125], np.float32),
    )


def golden_packets() -> dict[str, bytes]:
    """File name -> content."""
    face = posed_face()
    result = make_result(face)
    main = BridgeFace.of(face)
    frame = BridgeFrame(result, main, RATE)
    vmc, facecap, vrchat = VmcBridge("127.0.0.1", 9), FaceCapBridge("127.0.0.1", 9), VRChatBridge("127.0.0.1", 9)
    try:
        packets = {
            "livelink": [livelink.encode(DEVICE, "iPhone", SINCE_MIDNIGHT_NS, RATE, main)],
            "livelink_lost": [livelink.encode(DEVICE, "iPhone", SINCE_MIDNIGHT_NS, RATE, None)],
            "vmc": vmc.encode(main, time_s=12.5),
            "ifacialmocap_v1": [ifacialmocap.encode(main)],
            "ifacialmocap_v2": [ifacialmocap.encode(main, version="v2")],
            "vrchat": [*vrchat.encode_switches(True), *vrchat.encode(main)],
            "facecap": facecap.encode(main),
            "babble": babble.encode(main),
            "openseeface": [openseeface.encode(result, [face], None)],
            "opentrack": [opentrack.encode(main)],
        }
    finally:
        for bridge in (vmc, facecap, vrchat):
            bridge.close()
    values = vts_parameters.standard_values(main, np.zeros(3)) | vts_parameters.custom_values(main)
    texts = (
        vts.token_request(),
        vts.authentication_request("0123456789abcdef"),
        vts.creation_request("JawOpen", "ARKit weight of the face tracker"),
        vts.injection_request(values, face_found=True),
    )
    packets["vts"] = [text.encode() for text in texts]
    packets["lsl"] = [struct.pack(f"<{len(lsl.CHANNELS)}f", *lsl.sample(frame))]
    return {f"bridge_{name}.bin": _joined(datagrams) for name, datagrams in packets.items()}


def split(content: bytes) -> list[bytes]:
    """The datagrams of a file."""
    datagrams = []
    while content:
        (size,) = struct.unpack_from("<I", content)
        datagrams.append(content[4 : 4 + size])
        content = content[4 + size :]
    return datagrams


def _joined(datagrams: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(datagram)) + datagram for datagram in datagrams)


def main() -> int:
    """Write or check the files."""
    return write_or_check(__doc__.splitlines()[0], golden_packets())


if __name__ == "__main__":
    raise SystemExit(main())
