"""Head pose and gaze in the axes and units of other tools.

Everything starts from the *facing frame*: right-handed, x to the right of the picture (to the left of a subject who faces the
camera), y up, z from the scene to the camera. Those are ARKit's and OpenGL's camera axes, and for a face that looks into the
camera they coincide with the head's own axes, so its rotation is the identity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.rotations import head_euler, matrix_from_quaternion, quaternion_from_matrix, yaw_pitch_matrix

Float64 = NDArray[np.float64]

_TO_FACING = np.diag([1.0, -1.0, -1.0])
_FLIP_X = np.diag([-1.0, 1.0, 1.0])


def facing_position(position: NDArray[np.floating]) -> Float64:
    """Camera-frame position (3,) -> facing frame (3,); metres. A head in front of the camera has a negative z."""
    moved: Float64 = _TO_FACING @ np.asarray(position, np.float64)
    return moved


def facing_rotation(quaternion: NDArray[np.floating]) -> Float64:
    """Head-to-camera quaternion xyzw -> rotation (3, 3) from head axes to the facing frame."""
    rotation: Float64 = _TO_FACING @ matrix_from_quaternion(quaternion)
    return rotation


def unity_position(facing: Float64) -> Float64:
    """Facing position -> Unity's left-handed, y-up axes as an avatar that looks along +z has them; metres.

    Its x points to the avatar's right: the facing frame's x, mirrored.
    """
    moved: Float64 = _FLIP_X @ facing
    return moved


def unity_quaternion(facing: Float64) -> Float64:
    """Facing rotation (3, 3) -> Unity quaternion xyzw of an avatar that looks along +z."""
    return quaternion_from_matrix(_FLIP_X @ facing @ _FLIP_X)


def yaw_pitch_roll(facing: Float64) -> tuple[float, float, float]:
    """Facing rotation (3, 3) -> yaw, pitch, roll in radians, as ``tracker.rotations.head_euler`` defines them.

    Yaw is positive when the subject turns to their left, pitch when they look up, roll when they tilt to their left shoulder.
    """
    return head_euler(_TO_FACING @ facing)


def arkit_angles(facing: Float64) -> tuple[float, float, float]:
    """Facing rotation (3, 3) -> angles about ARKit's face axes, radians: x + looks down, y + to the subject's left, z + to the
    right shoulder. ``R = R_y R_x R_z``, right-handed: the Euler angles of phone apps.
    """
    yaw, pitch, roll = yaw_pitch_roll(facing)
    return -pitch, yaw, -roll


def eye_rotation(gaze: NDArray[np.floating]) -> Float64:
    """Gaze (yaw, pitch) relative to the head, radians -> rotation matrix (3, 3) in head axes: R_y(yaw) R_x(-pitch)."""
    return yaw_pitch_matrix(float(gaze[0]), float(gaze[1]))
