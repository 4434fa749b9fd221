from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tools.make_golden_wire import make_face, make_result
from tracker.arkit import ARKIT_INDEX
from tracker.bridges.bridge import BridgeFace, BridgeFrame
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix
from tracker.types import Face

MakeFace = Callable[..., Face]


@pytest.fixture(scope="session")
def posed_face() -> MakeFace:
    """A face that looks into the camera, turned by yaw (to its left), pitch (up) and roll (to its left shoulder), radians."""

    def make(
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        position: tuple[float, float, float] = (0.0, 0.0, 0.5),
        gaze_left: tuple[float, float] = (0.0, 0.0),
        gaze_right: tuple[float, float] = (0.0, 0.0),
        tracked: bool = True,
        face_id: int = 1,
        **weights: float,
    ) -> Face:
        turned = (
            matrix_from_rotvec(np.array([0.0, yaw, 0.0]))
            @ matrix_from_rotvec(np.array([-pitch, 0.0, 0.0]))
            @ matrix_from_rotvec(np.array([0.0, 0.0, -roll]))
        )
        arkit = np.zeros(52, np.float32)
        for name, value in weights.items():
            arkit[ARKIT_INDEX[name]] = value
        return replace(
            make_face(face_id, tracked=tracked),
            position=np.array(position, np.float32),
            quaternion=quaternion_from_matrix(np.diag([1.0, -1.0, -1.0]) @ turned).astype(np.float32),
            gaze_left=np.array(gaze_left, np.float32),
            gaze_right=np.array(gaze_right, np.float32),
            arkit=arkit,
        )

    return make


@pytest.fixture(scope="session")
def as_frame() -> Callable[..., BridgeFrame]:
    """Faces as a bridge gets them."""

    def make(*faces: Face, rate: Fraction = Fraction(30)) -> BridgeFrame:
        main = BridgeFace.of(faces[0]) if faces else None
        return BridgeFrame(make_result(*faces), main, rate)

    return make


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A datagram socket on a free port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(3.0)
        yield udp


def near(a: float, b: float, tolerance: float = 1e-6) -> bool:
    return math.isclose(a, b, abs_tol=tolerance)
