"""Rotations in 3D: axis-angle, matrices, quaternions (xyzw)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_SMALL_ANGLE = 1e-6


def matrix_from_rotvec(rotvec: NDArray[np.floating]) -> Float64:
    """Rodrigues' formula. ``rotvec`` (3,) radians -> (3, 3)."""
    x, y, z = float(rotvec[0]), float(rotvec[1]), float(rotvec[2])
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < _SMALL_ANGLE:
        a, b = 1.0, 0.5
    else:
        a, b = math.sin(angle) / angle, (1.0 - math.cos(angle)) / (angle * angle)
    return np.array(
        [
            [1.0 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y],
            [b * x * y + a * z, 1.0 - b * (x * x + z * z), b * y * z - a * x],
            [b * x * z - a * y, b * y * z + a * x, 1.0 - b * (x * x + y * y)],
        ]
    )


def left_jacobian(rotvec: NDArray[np.floating]) -> Float64:
    """The left Jacobian of SO(3), (3, 3): exp(rotvec + d) = exp(J d) exp(rotvec) to first order in d."""
    x, y, z = float(rotvec[0]), float(rotvec[1]), float(rotvec[2])
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-4:
        a, b = 0.5, 1.0 / 6.0
    else:
        a = (1.0 - math.cos(angle)) / (angle * angle)
        b = (angle - math.sin(angle)) / (angle**3)
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    jacobian: Float64 = np.eye(3) + a * k + b * (k @ k)
    return jacobian


def quaternion_from_matrix(matrix: NDArray[np.floating]) -> Float64:
    """Unit quaternion xyzw, (4,), of a rotation matrix (3, 3); its sign is chosen so that its largest entry is positive."""
    m = np.asarray(matrix, dtype=np.float64)
    # The four candidates 4*q_i*q (i = w, x, y, z); the one with the largest diagonal is the best conditioned.
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    candidates = (1.0 + trace, 1.0 + 2.0 * m[0, 0] - trace, 1.0 + 2.0 * m[1, 1] - trace, 1.0 + 2.0 * m[2, 2] - trace)
    best = int(np.argmax(candidates))
    if best == 0:
        q = [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], candidates[0]]
    elif best == 1:
        q = [candidates[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]]
    elif best == 2:
        q = [m[0, 1] + m[1, 0], candidates[2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]]
    else:
        q = [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], candidates[3], m[1, 0] - m[0, 1]]
    quaternion = np.array(q)
    normalised: Float64 = quaternion / np.linalg.norm(quaternion)
    return normalised


def matrix_from_quaternion(quaternion: NDArray[np.floating]) -> Float64:
    """Rotation matrix (3, 3) of a quaternion xyzw (4,), which need not be normalised."""
    q = np.asarray(quaternion, dtype=np.float64)
    x, y, z, w = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotvec_from_quaternion(quaternion: NDArray[np.floating]) -> Float64:
    """Axis-angle (3,), angle in [0, pi], of a quaternion xyzw (4,)."""
    q = np.asarray(quaternion, dtype=np.float64)
    q = q / np.linalg.norm(q)
    if q[3] < 0.0:
        q = -q
    sine = float(np.linalg.norm(q[:3]))
    if sine < _SMALL_ANGLE:
        small: Float64 = 2.0 * q[:3]
        return small
    rotvec: Float64 = q[:3] * (2.0 * math.atan2(sine, q[3]) / sine)
    return rotvec


def rotvec_from_matrix(matrix: NDArray[np.floating]) -> Float64:
    """Axis-angle (3,), angle in [0, pi], of a rotation matrix (3, 3)."""
    return rotvec_from_quaternion(quaternion_from_matrix(matrix))


def head_rotvec_from_matrix(matrix: NDArray[np.floating]) -> Float64:
    """Axis-angle (3,) of a head-to-camera rotation, continuous around a face that looks into the camera.

    Head y is up and camera y is down, so a frontal face is half a turn about x, where the usual axis-angle flips its sign.
    Of the two axis-angle vectors of a rotation this one has x >= 0; its angle lies in [0, 2 pi).
    """
    q = quaternion_from_matrix(matrix)
    if q[0] < 0.0:
        q = -q
    sine = float(np.linalg.norm(q[:3]))
    if sine < _SMALL_ANGLE:
        return np.zeros(3)
    rotvec: Float64 = q[:3] * (2.0 * math.atan2(sine, q[3]) / sine)
    return rotvec


def yaw_pitch_matrix(yaw: float, pitch: float) -> Float64:
    """Rotation (3, 3) in head axes of an eye that looks there: R_y(yaw) R_x(-pitch); radians, yaw + to the subject's left."""
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return np.array([[cy, -sy * sp, sy * cp], [0.0, cp, sp], [-sy, -cy * sp, cy * cp]])


def angle_between(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Angle in radians of the rotation from matrix ``a`` to matrix ``b``, both (3, 3)."""
    return float(np.linalg.norm(rotvec_from_matrix(np.asarray(b) @ np.asarray(a).T)))


def head_euler(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch, roll in radians of a head-to-camera rotation (3, 3); all zero for a face that looks into the camera.

    Yaw is positive when the subject turns to their left, pitch when they look up, roll when the head tilts to their left
    shoulder. The order is yaw, then pitch, then roll, each about the head's own axis.
    """
    # Undo the half turn about x that separates head axes from camera axes.
    m = np.diag([1.0, -1.0, -1.0]) @ np.asarray(matrix, dtype=np.float64)
    pitch = math.asin(max(-1.0, min(1.0, -m[1, 2])))
    yaw = math.atan2(m[0, 2], m[2, 2])
    roll = math.atan2(m[1, 0], m[1, 1])
    return yaw, -pitch, -roll
