"""Readers of the bridges' protocols, written from their specifications and not from our senders."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ARKIT_OF_APPLE_DOCUMENTATION = [
    "browInnerUp",
    "browDownLeft",
    "browDownRight",
    "browOuterUpLeft",
    "browOuterUpRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "jawOpen",
    "jawForward",
    "jawLeft",
    "jawRight",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthRollUpper",
    "mouthRollLower",
    "mouthShrugUpper",
    "mouthShrugLower",
    "mouthClose",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "tongueOut",
]


@dataclass
class LiveLinkPacket:
    device: str
    subject: str
    frame: int
    subframe: float
    rate: tuple[int, int]
    values: tuple[float, ...]


def read_livelink(data: bytes) -> LiveLinkPacket:
    """Version 6, field by field."""
    assert data[0] == 6
    offset = 1
    texts = []
    for _ in range(2):
        (size,) = struct.unpack_from(">i", data, offset)
        texts.append(data[offset + 4 : offset + 4 + size].decode())
        offset += 4 + size
    frame, subframe, numerator, denominator = struct.unpack_from(">ifii", data, offset)
    offset += 16
    values: tuple[float, ...] = ()
    if offset < len(data):
        count = data[offset]
        values = struct.unpack_from(f">{count}f", data, offset + 1)
        offset += 1 + 4 * count
    assert offset == len(data)
    return LiveLinkPacket(texts[0], texts[1], frame, subframe, (numerator, denominator), values)


def read_osc(datagrams: Iterable[bytes]) -> list[tuple[str, list[Any]]]:
    """Messages of datagrams, bundled or not, in order: python-osc's parser."""
    from pythonosc.osc_bundle import OscBundle
    from pythonosc.osc_message import OscMessage

    found: list[tuple[str, list[Any]]] = []
    for data in datagrams:
        contents = OscBundle(data) if OscBundle.dgram_is_bundle(data) else [OscMessage(data)]
        for message in contents:
            assert isinstance(message, OscMessage)
            found.append((message.address, list(message.params)))
    return found


@dataclass
class FacialMocapFrame:
    weights: dict[str, float]
    head: list[float]
    right_eye: list[float]
    left_eye: list[float]


def read_ifacialmocap(data: bytes, separator: str) -> FacialMocapFrame:
    """As the developers' page says: weights and poses on either side of '=', parts between bars, by name."""
    left, equals, right = data.decode("ascii").partition("=")
    assert equals and right.endswith("|")
    weights = {}
    for part in left.rstrip("|").split("|"):
        name, _, value = part.rpartition(separator)
        weights[name] = int(value) / 100.0
    poses = {}
    for part in right.rstrip("|").split("|"):
        name, _, values = part.partition("#")
        poses[name] = [float(value) for value in values.split(",")]
    return FacialMocapFrame(weights, poses["head"], poses["rightEye"], poses["leftEye"])


@dataclass
class OpenSeeRecord:
    """A record as the Unity component keeps it."""

    time_s: float
    face_id: int
    resolution: tuple[float, float]
    right_open: float
    left_open: float
    got_3d: bool
    error: float
    raw_quaternion: tuple[float, float, float, float]
    rotation: tuple[float, float, float]
    translation: tuple[float, float, float]
    confidence: list[float]
    points: list[tuple[float, float]]
    points_3d: list[tuple[float, float, float]]
    features: tuple[float, ...]


def read_openseeface(data: bytes) -> list[OpenSeeRecord]:
    """Offsets and conversions of the receiver's ``readFromPacket``, numbers in order of the bytes."""
    size = 8 + 4 + 8 + 8 + 1 + 4 + 16 + 12 + 12 + 4 * 68 + 8 * 68 + 12 * 70 + 4 * 14
    assert size == 1785 and len(data) % size == 0
    records = []
    for start in range(0, len(data), size):

        def floats(offset: int, count: int, start: int = start) -> tuple[float, ...]:
            return struct.unpack_from(f"<{count}f", data, start + offset)

        euler = floats(49, 3)
        x, y, z = floats(61, 3)
        flat, cloud = floats(345, 136), floats(889, 210)
        records.append(
            OpenSeeRecord(
                time_s=struct.unpack_from("<d", data, start)[0],
                face_id=struct.unpack_from("<i", data, start + 8)[0],
                resolution=floats(12, 2),  # type: ignore[arg-type]
                right_open=floats(20, 1)[0],
                left_open=floats(24, 1)[0],
                got_3d=data[start + 28] != 0,
                error=floats(29, 1)[0],
                raw_quaternion=floats(33, 4),  # type: ignore[arg-type]
                rotation=(-((euler[0] + 180.0) % 360.0), -euler[1], (euler[2] - 90.0) % 360.0),
                translation=(-y, x, -z),
                confidence=list(floats(73, 68)),
                points=[(flat[2 * i], flat[2 * i + 1]) for i in range(68)],
                points_3d=[(cloud[3 * i], -cloud[3 * i + 1], cloud[3 * i + 2]) for i in range(70)],
                features=floats(1729, 14),
            )
        )
    return records


def read_opentrack(data: bytes) -> dict[str, float]:
    assert len(data) == 48
    return dict(zip(("x", "y", "z", "yaw", "pitch", "roll"), struct.unpack("<6d", data), strict=True))
