"""Rotations against each other, and the head's angles by what they mean."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.rotations import (
    head_euler,
    head_rotvec_from_matrix,
    left_jacobian,
    matrix_from_quaternion,
    matrix_from_rotvec,
    quaternion_from_matrix,
    rotvec_from_matrix,
)

FRONTAL = np.diag([1.0, -1.0, -1.0])


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 0.5, 2.0, 3.1])
def test_round_trips(scale):
    rng = np.random.default_rng(0)
    for _ in range(20):
        axis = rng.normal(size=3)
        rotvec = scale * axis / np.linalg.norm(axis)
        matrix = matrix_from_rotvec(rotvec)
        assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.allclose(rotvec_from_matrix(matrix), rotvec, atol=1e-7)
        assert np.allclose(matrix_from_quaternion(quaternion_from_matrix(matrix)), matrix, atol=1e-9)
        assert np.allclose(matrix_from_rotvec(head_rotvec_from_matrix(matrix)), matrix, atol=1e-7)


def test_left_jacobian_is_the_derivative():
    rng = np.random.default_rng(1)
    for scale in (1e-6, 0.3, 2.0):
        rotvec, step = scale * rng.normal(size=3), 1e-6 * rng.normal(size=3)
        moved = matrix_from_rotvec(rotvec + step)
        predicted = matrix_from_rotvec(left_jacobian(rotvec) @ step) @ matrix_from_rotvec(rotvec)
        assert np.allclose(moved, predicted, atol=1e-10)


def test_head_rotvec_is_continuous_around_a_face_that_looks_into_the_camera():
    for axis in np.eye(3):
        values = [
            head_rotvec_from_matrix(matrix_from_rotvec(angle * axis) @ FRONTAL) for angle in np.linspace(-1, 1, 201)
        ]
        assert np.abs(np.diff(values, axis=0)).max() < 0.05


@pytest.mark.parametrize(
    ("moved_feature", "camera_direction", "angle"),
    [
        # The nose (head +z) goes to the picture's right (camera +x), which is the subject's left: yaw > 0.
        ((0, 0, 1), (1, 0, 0), 0),
        # The nose goes up (camera -y): pitch > 0.
        ((0, 0, 1), (0, -1, 0), 1),
        # The top of the head (head +y) leans to the picture's right, the subject's left: roll > 0.
        ((0, 1, 0), (1, 0, 0), 2),
    ],
)
def test_signs_of_the_head_angles(moved_feature, camera_direction, angle):
    feature = FRONTAL @ np.array(moved_feature, float)
    axis = np.cross(feature, np.array(camera_direction, float))
    angles = head_euler(matrix_from_rotvec(0.3 * axis) @ FRONTAL)
    expected = np.zeros(3)
    expected[angle] = 0.3
    assert angles == pytest.approx(expected, abs=1e-9)
