from __future__ import annotations

import math

import numpy as np
import pytest
from facestream_tracker.axes import (
    eye_rotation,
    head_position,
    head_rotation,
    matrix_from_quaternion,
    matrix_from_rotvec,
    quaternion_from_matrix,
    scaled,
)
from facestream_tracker.rig import BoneRest, Strengths, bone_turns, facing_turn
from facestream_tracker.samples import Sample

LOOKING_INTO_THE_CAMERA = np.array([1.0, 0.0, 0.0, 0.0])


def turned(rotvec_head: tuple[float, float, float]) -> Sample:
    """A face that looks into the camera and then turns about its own axes."""
    matrix = np.diag([1.0, -1.0, -1.0]) @ matrix_from_rotvec(rotvec_head)
    w, x, y, z = quaternion_from_matrix(matrix)
    gaze = np.array([[0.3, 0.1], [0.2, -0.1]], np.float32)
    return Sample(np.zeros(52, np.float32), np.array([x, y, z, w]), np.array([0.1, 0.2, 0.5]), gaze)


def test_a_look_into_the_camera_is_no_turn() -> None:
    np.testing.assert_allclose(head_rotation(LOOKING_INTO_THE_CAMERA), np.eye(3), atol=1e-12)


def test_the_head_is_before_the_camera_that_looks_along_y() -> None:
    # Right and below in the picture, half a metre away.
    np.testing.assert_allclose(head_position([0.1, 0.2, 0.5]), [0.1, 0.5, -0.2], atol=1e-12)


@pytest.mark.parametrize(
    ("rotvec", "nose"),
    [
        ((0.0, 0.3, 0.0), (math.sin(0.3), -math.cos(0.3), 0.0)),  # to the subject's left, which is +x
        ((-0.3, 0.0, 0.0), (0.0, -math.cos(0.3), math.sin(0.3))),  # up
    ],
)
def test_the_nose_points_where_the_face_turns(rotvec: tuple[float, float, float], nose: tuple[float, ...]) -> None:
    front = head_rotation(turned(rotvec).quaternion) @ [0.0, -1.0, 0.0]
    np.testing.assert_allclose(front, nose, atol=1e-7)


def test_eyes_look_left_and_up() -> None:
    look = eye_rotation(0.3, 0.1) @ [0.0, -1.0, 0.0]
    assert look[0] == pytest.approx(math.sin(0.3) * math.cos(0.1))
    assert look[2] == pytest.approx(math.sin(0.1))


def test_conversions_are_those_of_the_bridges() -> None:
    bridges = pytest.importorskip("tracker.bridges.axes")
    to_blender = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    sample = turned((0.3, -0.5, 0.2))
    np.testing.assert_allclose(
        head_rotation(sample.quaternion),
        to_blender @ bridges.facing_rotation(sample.quaternion) @ to_blender.T,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        head_position(sample.position), to_blender @ bridges.facing_position(sample.position), atol=1e-9
    )
    np.testing.assert_allclose(
        eye_rotation(0.3, -0.2), to_blender @ bridges.eye_rotation(np.array([0.3, -0.2])) @ to_blender.T, atol=1e-9
    )


def test_quaternions_and_matrices_agree_all_round() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        xyzw = rng.normal(size=4)
        matrix = matrix_from_quaternion(xyzw)
        w, x, y, z = quaternion_from_matrix(matrix)
        np.testing.assert_allclose(matrix_from_quaternion([x, y, z, w]), matrix, atol=1e-9)


def test_scaling_takes_a_part_of_a_turn() -> None:
    turn = matrix_from_rotvec([0.2, -0.9, 1.8])
    np.testing.assert_allclose(scaled(turn, 1.0), turn, atol=1e-12)
    np.testing.assert_allclose(scaled(turn, 0.5) @ scaled(turn, 0.5), turn, atol=1e-12)
    np.testing.assert_allclose(scaled(turn, 0.0), np.eye(3), atol=1e-12)


def test_mirrored_faces_turn_the_other_way() -> None:
    sample = turned((0.1, 0.4, -0.2))
    flip = np.diag([-1.0, 1.0, 1.0])
    mirror = sample.mirrored()
    np.testing.assert_allclose(
        head_rotation(mirror.quaternion), flip @ head_rotation(sample.quaternion) @ flip, atol=1e-6
    )
    np.testing.assert_allclose(mirror.gaze, [[-0.2, -0.1], [-0.3, 0.1]], atol=1e-6)
    np.testing.assert_allclose(mirror.mirrored().quaternion, sample.quaternion, atol=1e-6)


def rest(rng: np.random.Generator) -> np.ndarray:
    return matrix_from_rotvec(rng.normal(size=3))


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0])
def test_bones_end_where_the_face_is_whatever_their_rest_pose(degrees: float) -> None:
    rng = np.random.default_rng(int(degrees))
    sample, facing = turned((0.3, -0.6, 0.2)), facing_turn(degrees)
    bones = {
        "neck": BoneRest(rest(rng)),
        "head": BoneRest(rest(rng), under_neck=True),
        "eye_left": BoneRest(rest(rng), under_neck=True, under_head=True),
        "eye_right": BoneRest(rest(rng)),
    }
    turns = bone_turns(sample, bones, Strengths(neck_share=0.3), facing)
    # Forward kinematics as Blender does it: parent's pose x offset at rest x own turn.
    neck = bones["neck"].rest @ turns["neck"]
    head = neck @ bones["neck"].rest.T @ bones["head"].rest @ turns["head"]
    eye = head @ bones["head"].rest.T @ bones["eye_left"].rest @ turns["eye_left"]
    lone_eye = bones["eye_right"].rest @ turns["eye_right"]
    whole = facing @ head_rotation(sample.quaternion) @ facing.T
    np.testing.assert_allclose(head @ bones["head"].rest.T, whole, atol=1e-6)
    np.testing.assert_allclose(neck @ bones["neck"].rest.T, scaled(whole, 0.3), atol=1e-6)
    gaze = facing @ eye_rotation(0.3, 0.1) @ facing.T
    np.testing.assert_allclose(eye @ bones["eye_left"].rest.T, whole @ gaze, atol=1e-6)
    np.testing.assert_allclose(
        lone_eye @ bones["eye_right"].rest.T, whole @ facing @ eye_rotation(0.2, -0.1) @ facing.T, atol=1e-6
    )


def test_strength_nought_leaves_bones_at_rest() -> None:
    rng = np.random.default_rng(9)
    bones = {"head": BoneRest(rest(rng)), "eye_left": BoneRest(rest(rng), under_head=True)}
    turns = bone_turns(turned((0.3, 0.2, 0.1)), bones, Strengths(head=0, eyes=0), np.eye(3))
    for turn in turns.values():
        np.testing.assert_allclose(turn, np.eye(3), atol=1e-9)
