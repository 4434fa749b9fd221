"""Head poses in the world that VHAP and GaussianAvatars compute in.

Where VHAP tracks uncalibrated video, its world has OpenGL axes (x right, y up, z towards the viewer) and the camera stands
at (0, 0, 1) in it, looking along -z. FLAME turns the head about its root joint J and then adds the translation:
``v_world = R (v - J) + J + translation``. Ours are ``v_camera = R_camera v + t_camera`` in OpenCV axes, hence

    R = P R_camera        translation = P t_camera + (0, 0, 1) + R J - J + o        with P = diag(1, -1, -1)

where J is in our head axes and o is where FLAME's own origin lies in them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CAMERA_POSITION: Final = np.array([0.0, 0.0, 1.0])
WORLD_TO_CAMERA: Final[Float32] = np.array(
    [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]],
    np.float32,
)
"""(4, 4) from VHAP's world to OpenCV camera axes, metres."""


def world_pose(
    rotation_camera: NDArray[np.floating],
    translation_camera: NDArray[np.floating],
    root_joint: NDArray[np.floating],
    source_origin: NDArray[np.floating] | None = None,
) -> tuple[Float64, Float64]:
    """Poses in VHAP's world: rotations (T, 3) axis-angle with angles in [0, pi], translations (T, 3) metres.

    Args:
        rotation_camera: (T, 3) axis-angle, head axes to OpenCV camera axes.
        translation_camera: (T, 3) metres, head origin in the camera frame.
        root_joint: (3,) or (T, 3) metres, the root joint of the person's head in head axes.
        source_origin: (3,) metres, the origin of the model's own axes in head axes; None: the same.
    """
    flip = np.array([1.0, -1.0, -1.0])
    quaternion = _quaternions(np.asarray(rotation_camera, np.float64))
    x, y, z, w = quaternion.T
    # The half turn about x, P, is the quaternion (1, 0, 0, 0): this is their product.
    turned = np.stack([w, -z, y, -x], axis=1)
    joint = np.asarray(root_joint, np.float64)
    moved = _rotate(turned, joint) - joint
    translation: Float64 = np.asarray(translation_camera, np.float64) * flip + CAMERA_POSITION + moved
    if source_origin is not None:
        translation = translation + source_origin
    return _rotvecs(turned), translation


def _quaternions(rotvecs: Float64) -> Float64:
    angle = np.linalg.norm(rotvecs, axis=1, keepdims=True)
    # sin(a/2)/a by way of sinc, which is smooth at zero.
    return np.concatenate([rotvecs * (0.5 * np.sinc(angle / (2.0 * np.pi))), np.cos(angle / 2.0)], axis=1)


def _rotvecs(quaternions: Float64) -> Float64:
    q = np.where(quaternions[:, 3:] < 0.0, -quaternions, quaternions)
    sine = np.linalg.norm(q[:, :3], axis=1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[:, 3:])
    rotvecs: Float64 = q[:, :3] * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-9)
    return rotvecs


def _rotate(quaternions: Float64, point: Float64) -> Float64:
    axis, w = quaternions[:, :3], quaternions[:, 3:]
    cross = 2.0 * np.cross(axis, point)
    turned: Float64 = point + w * cross + np.cross(axis, cross)
    return turned
