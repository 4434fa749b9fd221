"""Biovision BVH: head, jaw and eyes as joints that turn, for tools that know nothing newer.

Right-handed, y up, z out of a face that looks ahead, so that such a face has no rotation; centimetres and degrees. The root
moves and turns with the head, seen from the camera, which is the origin and looks along -z. Every joint's channels are Z, X, Y
rotation, that is, R = Rz Rx Ry. Frames are equally far apart: takes that are not steady are resampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.exporting.performance import Performance
from tracker.exporting.rig import facing_pose, joint_positions, matrices_of, rotvec_matrices
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, FaceModel

Float64 = NDArray[np.float64]

_CM: Final = 100.0
_ROTATIONS: Final = "Zrotation Xrotation Yrotation"
_JOINTS: Final = (("Jaw", JAW), ("LeftEye", EYE_LEFT), ("RightEye", EYE_RIGHT))
_END_M: Final = {"Jaw": (0.0, -0.03, 0.06), "LeftEye": (0.0, 0.0, 0.02), "RightEye": (0.0, 0.0, 0.02)}


def write_bvh(performance: Performance, model: FaceModel, path: Path) -> list[str]:
    """Write the main track; returns what else people should know. Raises OSError when there is no room."""
    steady = performance.steady()
    notes = [] if steady is performance else [f"resampled to a steady {float(steady.rate):.6g} frames a second"]
    track = steady.main
    positions, quaternions = facing_pose(track)
    joints = joint_positions(model, track.identity)
    turns = {"Jaw": track.jaw, "LeftEye": track.eyes[:, :3], "RightEye": track.eyes[:, 3:]}
    columns = [positions * _CM, zxy_degrees(matrices_of(quaternions))]
    columns += [zxy_degrees(rotvec_matrices(turns[name])) for name, _ in _JOINTS]
    table = np.concatenate(columns, axis=1)
    lines = ["HIERARCHY", "ROOT Head", "{", "  OFFSET 0.0 0.0 0.0"]
    lines.append(f"  CHANNELS 6 Xposition Yposition Zposition {_ROTATIONS}")
    for name, index in _JOINTS:
        lines += [
            f"  JOINT {name}",
            "  {",
            f"    OFFSET {_numbers(joints[index] * _CM)}",
            f"    CHANNELS 3 {_ROTATIONS}",
        ]
        lines += ["    End Site", "    {", f"      OFFSET {_numbers(np.array(_END_M[name]) * _CM)}", "    }", "  }"]
    lines += ["}", "MOTION", f"Frames: {len(steady)}", f"Frame Time: {float(1 / steady.rate):.12g}"]
    lines += [_numbers(row) for row in table]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return notes


def _numbers(row: NDArray[np.floating]) -> str:
    return " ".join(f"{value:.6f}" for value in row)


def zxy_degrees(matrices: Float64) -> Float64:
    """Angles (T, 3) about z, x, y in degrees of rotations (T, 3, 3) = Rz Rx Ry; without jumps of a whole turn."""
    x = np.arcsin(np.clip(matrices[:, 2, 1], -1.0, 1.0))
    z = np.arctan2(-matrices[:, 0, 1], matrices[:, 1, 1])
    y = np.arctan2(-matrices[:, 2, 0], matrices[:, 2, 2])
    degrees: Float64 = np.degrees(np.unwrap(np.stack([z, x, y], axis=1), axis=0))
    return degrees
