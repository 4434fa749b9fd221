"""From the stream's axes to Blender's.

The stream: camera axes x right, y down, z forward; head axes x to the subject's left, y up, z out of the face. Blender: z up,
and a character looks along -y, its left at +x. A camera at the origin that looks along +y sees the head where it was seen.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

BLENDER_FROM_HEAD: Float64 = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""(3, 3) head axes to Blender's, for a face that looks along -y."""
BLENDER_FROM_CAMERA: Float64 = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(3, 3) camera axes of the stream to Blender's, for a camera that looks along +y."""


def matrix_from_quaternion(xyzw: ArrayLike) -> Float64:
    """Rotation matrix (3, 3) of a quaternion xyzw (4,), which need not be normalised."""
    q = np.asarray(xyzw, np.float64)
    x, y, z, w = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(matrix: Float64) -> Float64:
    """Unit quaternion wxyz (4,), as Blender orders them, of a rotation matrix (3, 3); its largest entry is positive."""
    m = matrix
    products = np.array(
        [
            [1 + m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2]],
        ]
    )
    # Each row is 4 q_i q; the one with the largest diagonal is the best conditioned.
    row: Float64 = products[int(np.argmax(np.diag(products)))]
    normalised: Float64 = row / np.linalg.norm(row)
    return normalised


def matrix_from_rotvec(rotvec: ArrayLike) -> Float64:
    """Rotation matrix (3, 3) of an axis-angle vector (3,) in radians."""
    vector = np.asarray(rotvec, np.float64)
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix: Float64 = np.eye(3) + math.sin(angle) * skew + (1 - math.cos(angle)) * (skew @ skew)
    return matrix


def head_rotation(quaternion: ArrayLike) -> Float64:
    """Head-to-camera quaternion xyzw (4,) -> turn (3, 3) in Blender's axes; a look into the camera is the identity."""
    turn: Float64 = BLENDER_FROM_CAMERA @ matrix_from_quaternion(quaternion) @ BLENDER_FROM_HEAD.T
    return turn


def head_position(position: ArrayLike) -> Float64:
    """Head origin in camera axes (3,), metres -> in Blender's axes, the camera at the origin."""
    moved: Float64 = BLENDER_FROM_CAMERA @ np.asarray(position, np.float64)
    return moved


def eye_rotation(yaw: float, pitch: float) -> Float64:
    """Gaze relative to the head, radians: yaw + to the subject's left, pitch + up -> turn (3, 3) in Blender's axes."""
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    in_head = np.array([[cy, -sy * sp, sy * cp], [0.0, cp, sp], [-sy, -cy * sp, cy * cp]])
    turn: Float64 = BLENDER_FROM_HEAD @ in_head @ BLENDER_FROM_HEAD.T
    return turn


def scaled(rotation: Float64, factor: float) -> Float64:
    """The part ``factor`` of a turn (3, 3) about the same axis."""
    w, x, y, z = quaternion_from_matrix(rotation)
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return np.eye(3)
    # Angles beyond half a turn are the shorter way round: the entry that decides the sign may not be w.
    angle = 2 * math.atan2(sine, w)
    angle = angle - 2 * math.pi if angle > math.pi else angle
    return matrix_from_rotvec(np.array([x, y, z]) / sine * angle * factor)
