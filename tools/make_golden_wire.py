"""Write tests/golden/wire_*.bin: one packet of each kind with fixed content, for the tests and for people who write clients.

    python tools/make_golden_wire.py            # rewrite the files
    python tools/make_golden_wire.py --check    # exit 1 if a file differs

The files hold the msgpack part of a message, except ``wire_latest_one_face.bin``, which is a whole message of the latest-only
endpoint. docs/wire.md explains every key. A change here is a change of the wire format: say so in CHANGELOG.md.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.golden_files import write_or_check  # noqa: E402
from tracker.camera import Camera  # noqa: E402
from tracker.publishing import wire  # noqa: E402
from tracker.publishing.schema import ModelDescription, build_schema  # noqa: E402
from tracker.srgb import LINEAR  # noqa: E402
from tracker.types import (  # noqa: E402
    Albedo,
    Face,
    FaceParams,
    Float32,
    FrameResult,
    IdentityState,
    Illumination,
    KnownIdentity,
    Landmarks,
    Occlusion,
)

STREAM = "00000000-0000-4000-8000-000000000001"
MODEL = ModelDescription(
    name="golden-head",
    sha256="00" * 32,
    identity_dim=4,
    expression_names=("jawOpen", "mouthSmileLeft", "mouthSmileRight"),
    joint_names=("root", "neck", "jaw", "eye_left", "eye_right"),
    landmark_set="golden3",
    landmark_count=3,
)


def ramp(count: int, start: float = 0.0, step: float = 0.125) -> Float32:
    """``start, start + step, ...``: eighths, so that float32 holds them exactly."""
    return (start + step * np.arange(count)).astype(np.float32)


def make_params(start: float) -> FaceParams:
    """Parameters of three expressions that differ everywhere from those of another ``start``."""
    return FaceParams(
        expression=ramp(3, start),
        rotation=np.array([math.pi, start, 0.0], dtype=np.float32),
        translation=np.array([start, 0.0625, 0.5], dtype=np.float32),
        neck=ramp(3, 1 + start),
        jaw=ramp(3, 2 + start),
        eyes=ramp(6, 3 + start),
        eyelids=ramp(2, start),
    )


def make_face(face_id: int = 1, *, tracked: bool = True, identity_version: int = 1) -> Face:
    """A face with fixed content; only what is asked for differs between faces."""
    params = make_params(0.25)
    return Face(
        id=face_id,
        tracked=tracked,
        confidence=0.9375,
        age=12,
        box=np.array([100.5, 50.25, 200.0, 220.0], dtype=np.float32),
        params=params,
        raw=make_params(0.5),
        identity=ramp(4, -0.25),
        identity_version=identity_version,
        position=params.translation,
        quaternion=np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32),
        arkit=ramp(52, 0.0, 1 / 64),
        gaze_left=np.array([0.125, -0.25], dtype=np.float32),
        gaze_right=np.array([0.0625, -0.25], dtype=np.float32),
        landmarks=Landmarks("golden3", ramp(9, 100.5).reshape(3, 3), ramp(3, 0.5)),
        residual_px=0.75,
        arkit_raw=ramp(52, 0.0, 1 / 128),
    )


def golden_identity() -> KnownIdentity:
    """An identity of the face with id 1."""
    return KnownIdentity(2, ramp(4, -0.25), IdentityState(0.625, True, 12, ramp(4, 0.5)))


def add_visibility(face: Face) -> Face:
    """The face with one landmark out of sight, one in doubt and one in sight."""
    visibility = np.array([0.0, 0.4, 1.0], np.float32)
    return replace(face, landmarks=replace(face.landmarks, visibility=visibility))


def add_appearance(face: Face) -> Face:
    """The face with light, occlusion and an albedo of three points."""
    return replace(
        face,
        light=Illumination(ramp(27, -1.0).reshape(9, 3), 0.625, ramp(3, 0.875)),
        occlusion=Occlusion(0.25, ramp(2, 0.5), ramp(3), np.ones(3, np.bool_)),
        albedo=Albedo(LINEAR[np.arange(9).reshape(3, 3) * 25], ramp(3, 0.0, 1 / 3), 0.5, 4),
    )


def make_result(*faces: Face, index: int = 30) -> FrameResult:
    """A frame of 640 x 360 at 30000/1001 frames per second."""
    rate = Fraction(30000, 1001)
    pts_s = (index + Fraction(1, 4)) / rate
    return FrameResult(
        index=index,
        t_capture_ns=round(pts_s * 10**9),
        clock="media",
        t_unix_ns=1_700_000_000_000_000_000 + index,
        camera=Camera(640, 360, 734.0, 320.0, 180.0),
        faces=faces,
        pts_s=pts_s,
        rate=rate,
    )


def golden_packets() -> dict[str, bytes]:
    """File name -> content."""
    head = {"stream": STREAM, "t_publish_ns": 5_000_000_000}
    frame = {**head, "seq": 41, "schema": 7}
    one = wire.pack(wire.encode_frame(make_result(make_face()), **frame))
    full = wire.encode_frame(
        make_result(make_face(), make_face(2, tracked=False)), with_raw=True, with_landmarks=True, **frame
    )
    sight = wire.encode_frame(make_result(add_visibility(make_face())), with_landmarks=True, **frame)
    schema = build_schema(
        MODEL, regions=("brow", "mouth"), with_raw=True, revision=7, stream=STREAM, tracker_version="0.1.0"
    )
    status = {"fps": 30.0, "dropped": 2, "stages": {"fit": {"p50": 0.75, "p95": 1.5}}, "camera": "open"}
    return {
        "wire_frame_one_face.bin": one,
        "wire_frame_no_face.bin": wire.pack(wire.encode_frame(make_result(), **frame)),
        "wire_frame_raw_landmarks.bin": wire.pack(full),
        "wire_frame_visibility.bin": wire.pack(sight),
        "wire_frame_appearance.bin": wire.pack(wire.encode_frame(make_result(add_appearance(make_face())), **frame)),
        "wire_latest_one_face.bin": wire.LATEST_PREFIX + one,
        "wire_schema.bin": wire.pack({**schema, "seq": 3}),
        "wire_identity.bin": wire.pack(wire.encode_identity({1: golden_identity()}, seq=5, schema=7, **head)),
        "wire_schema_appearance.bin": wire.pack(
            {
                **build_schema(
                    MODEL,
                    regions=("brow", "mouth"),
                    skin_uv=ramp(6).reshape(3, 2),
                    revision=8,
                    stream=STREAM,
                    tracker_version="0.1.0",
                ),
                "seq": 4,
            }
        ),
        "wire_identity_albedo.bin": wire.pack(
            wire.encode_identity(
                {1: golden_identity()._replace(albedo=add_appearance(make_face()).albedo)}, seq=6, schema=8, **head
            )
        ),
        "wire_event.bin": wire.pack(
            wire.encode_event("tracked", {"id": 1, "frame": 30}, seq=0, t_unix_ns=1_700_000_000_000_000_030, **head)
        ),
        "wire_status.bin": wire.pack(wire.encode_status(status, seq=9, **head)),
    }


def main() -> int:
    """Write or check the files."""
    return write_or_check(__doc__.splitlines()[0], golden_packets())


if __name__ == "__main__":
    raise SystemExit(main())
