"""BVH, parsed by the words of the format and turned by its rules."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import RATE, builtin, clip, record, smooth_face
from tests.recording.factory import make_frame
from tests.toy_model import toy_model
from tracker.exporting import read_performance
from tracker.exporting.bvh import write_bvh
from tracker.face_model.model import EYE_LEFT, JAW
from tracker.rotations import matrix_from_quaternion, matrix_from_rotvec

AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


class Bvh:
    """Joints by name with parent, offset and channels, and the numbers of each frame."""

    def __init__(self, text: str) -> None:
        words = iter(text.split())
        self.parents: dict[str, str | None] = {}
        self.offsets: dict[str, np.ndarray] = {}
        self.channels: dict[str, list[str]] = {}
        stack: list[str | None] = [None]
        name: str | None = None
        assert next(words) == "HIERARCHY"
        for word in words:
            if word in ("ROOT", "JOINT"):
                name = next(words)
                self.parents[name] = stack[-1]
            elif word == "End":
                assert next(words) == "Site"
                name = None
            elif word == "{":
                stack.append(name)
            elif word == "}":
                stack.pop()
            elif word == "OFFSET":
                offset = np.array([float(next(words)) for _ in range(3)])
                if stack[-1] is not None:
                    self.offsets[stack[-1]] = offset
            elif word == "CHANNELS":
                assert stack[-1] is not None
                self.channels[stack[-1]] = [next(words) for _ in range(int(next(words)))]
            elif word == "MOTION":
                break
            else:
                pytest.fail(f"unexpected {word}")
        assert next(words) == "Frames:"
        count = int(next(words))
        assert (next(words), next(words)) == ("Frame", "Time:")
        self.frame_time_s = float(next(words))
        self.frames = np.array([float(word) for word in words]).reshape(count, -1)

    def local(self, joint: str, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and position (3,) relative to the parent: channels apply from left to right."""
        start = 0
        for name, channels in self.channels.items():
            if name == joint:
                break
            start += len(channels)
        rotation, position = np.eye(3), self.offsets[joint].copy()
        for channel, value in zip(self.channels[joint], self.frames[frame, start:], strict=False):
            if channel.endswith("rotation"):
                rotation = rotation @ matrix_from_rotvec(np.radians(value) * np.array(AXES[channel[0]]))
            else:
                position["XYZ".index(channel[0])] += value
        return rotation, position


@pytest.mark.parametrize("kind", ["toy", "builtin"])
def test_head_eyes_and_jaw_are_where_the_tracker_saw_them(tmp_path: Path, kind: str) -> None:
    model = builtin() if kind == "builtin" else toy_model()
    frames = clip(model, 20)
    take = record(tmp_path / "take.npz", model, frames)
    assert write_bvh(read_performance(take), model, tmp_path / "out.bvh") == []
    bvh = Bvh((tmp_path / "out.bvh").read_text())
    assert list(bvh.parents.items()) == [("Head", None), ("Jaw", "Head"), ("LeftEye", "Head"), ("RightEye", "Head")]
    assert bvh.frame_time_s == pytest.approx(float(1 / RATE), abs=1e-12) and len(bvh.frames) == 20
    flip = np.diag([1.0, -1.0, -1.0])
    for row, frame in enumerate(frames):
        face = frame.faces[0]
        rotation, position = bvh.local("Head", row)
        np.testing.assert_allclose(position / 100, face.position * (1, -1, -1), atol=1e-7)
        np.testing.assert_allclose(rotation, flip @ matrix_from_quaternion(face.quaternion), atol=1e-6)
        rotvecs = (("Jaw", face.params.jaw), ("LeftEye", face.params.eyes[:3]), ("RightEye", face.params.eyes[3:]))
        for joint, rotvec in rotvecs:
            np.testing.assert_allclose(bvh.local(joint, row)[0], matrix_from_rotvec(rotvec), atol=1e-6)
    joints = model.joint_template + model.joint_identity @ take["shape"]
    for name, index in (("LeftEye", EYE_LEFT), ("Jaw", JAW)):
        np.testing.assert_allclose(bvh.offsets[name] / 100, joints[index], atol=1e-7)


def test_a_take_with_dropped_frames_becomes_steady_and_says_so(tmp_path: Path) -> None:
    model = toy_model()
    frames = [make_frame(i, (smooth_face(model, i),)) for i in (0, 1, 2, 5, 6, 9)]
    take = record(tmp_path / "take.npz", model, frames)
    notes = write_bvh(read_performance(take), model, tmp_path / "out.bvh")
    assert notes == ["resampled to a steady 29.97 frames a second"]
    bvh = Bvh((tmp_path / "out.bvh").read_text())
    assert len(bvh.frames) == 10
    for row, frame in ((0, frames[0]), (5, frames[3]), (9, frames[5])):
        np.testing.assert_allclose(bvh.local("Head", row)[1] / 100, frame.faces[0].position * (1, -1, -1), atol=1e-7)
    between = bvh.local("Head", 3)[1] / 100
    wanted = (2 * frames[2].faces[0].position + frames[3].faces[0].position) / 3
    np.testing.assert_allclose(between, wanted * (1, -1, -1), atol=1e-6)


def test_angles_do_not_jump_by_whole_turns(tmp_path: Path) -> None:
    model = toy_model()
    frames = clip(model, 200)
    take = record(tmp_path / "take.npz", model, frames)
    write_bvh(read_performance(take, rate=Fraction(60)), model, tmp_path / "out.bvh")
    bvh = Bvh((tmp_path / "out.bvh").read_text())
    assert np.abs(np.diff(bvh.frames[:, 3:], axis=0)).max() < 20.0
