"""The tracker's side of the Blender tests: publishes known faces, or writes them as a take. Runs in the tracker's own Python.

python -m tests.blender.stage publish --port 5556 --control 5557     # until killed
python -m tests.blender.stage take out.npz --frames 60
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.blender import known
from tracker.camera import Camera
from tracker.face_model import load_face_model
from tracker.publishing.config import PublishConfig
from tracker.publishing.control import ControlServer
from tracker.publishing.describe import describe_model
from tracker.publishing.publisher import Publisher
from tracker.recording import open_writer
from tracker.rotations import matrix_from_rotvec, quaternion_from_matrix, rotvec_from_matrix
from tracker.types import Face, FrameResult, Landmarks

MODEL = load_face_model()


def face(index: int, face_id: int = 1) -> Face:
    rotation = np.diag([1.0, -1.0, -1.0]) @ matrix_from_rotvec(known.rotvec_turn(index))
    neutral = MODEL.neutral_params()
    arkit = known.arkit(index) if face_id == 1 else 1 - known.arkit(index)
    params = replace(
        neutral,
        expression=arkit,
        rotation=rotvec_from_matrix(rotation).astype(np.float32),
        translation=known.position(index),
    )
    gaze = known.gaze(index)
    return Face(
        id=face_id,
        tracked=True,
        confidence=1.0,
        age=index,
        box=np.array([100, 50, 200, 200], np.float32) / np.float32(face_id),
        params=params,
        raw=params,
        identity=known.identity(MODEL.identity_count),
        identity_version=1,
        position=known.position(index),
        quaternion=quaternion_from_matrix(rotation).astype(np.float32),
        arkit=arkit,
        gaze_left=gaze[0],
        gaze_right=gaze[1],
        landmarks=Landmarks("none", np.zeros((0, 3), np.float32), np.zeros(0, np.float32)),
        residual_px=0.5,
    )


def frame(index: int, faces: int = 1) -> FrameResult:
    return FrameResult(
        index=index,
        t_capture_ns=known.t_capture_ns(index),
        clock="media",
        t_unix_ns=1_700_000_000_000_000_000 + index,
        camera=Camera.for_image(*known.SIZE),
        faces=tuple(face(index, number + 1) for number in range(faces)),
        pts_s=Fraction(index) / known.RATE,
        rate=known.RATE,
    )


def publish(port: int, control: int, fps: float, faces: int) -> None:
    config = PublishConfig(bind=f"127.0.0.1:{port}", latest=None, control=f"127.0.0.1:{control}")
    handlers = {"recenter": lambda request: {"ok": True}}
    with Publisher(config, describe_model(MODEL)) as publisher, ControlServer(config.control, handlers):
        print(f"publishing on {publisher.endpoint}", flush=True)
        index, due = 0, time.monotonic()
        while True:
            publisher.publish(frame(index, faces))
            index, due = index + 1, due + 1 / fps
            time.sleep(max(0.0, due - time.monotonic()))


def write_take(path: Path, frames: int) -> None:
    with open_writer(path, model=MODEL, overwrite=True) as writer:
        for index in range(frames):
            # Nobody is there for a while: those frames get no keys.
            writer.write(frame(index, 0 if 20 <= index < 25 else 1))


def main() -> None:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    live = verbs.add_parser("publish")
    live.add_argument("--port", type=int, required=True)
    live.add_argument("--control", type=int, required=True)
    live.add_argument("--fps", type=float, default=60.0)
    live.add_argument("--faces", type=int, default=1)
    take = verbs.add_parser("take")
    take.add_argument("path", type=Path)
    take.add_argument("--frames", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.verb == "publish":
        publish(arguments.port, arguments.control, arguments.fps, arguments.faces)
    else:
        write_take(arguments.path, arguments.frames)


if __name__ == "__main__":
    main()
