"""Joints, skinning weights and the rigid part of the jaw and eye expressions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head.makehuman import MakeHuman
from tools.build_head.selection import HEAD_BONES, HeadMesh

JOINT_NAMES: Final = ("root", "neck", "jaw", "eye_left", "eye_right")
JOINT_PARENTS: Final = (-1, 0, 1, 1, 1)
JAW_GROUP: Final = "joint-mouth"
"""MakeHuman's helper cube at the head of the jaw bone: the lower teeth turn about its centre in jawOpen."""
EYE_GROUPS: Final = {"eye_left": "helper-l-eye", "eye_right": "helper-r-eye"}
LOOK_SIDEWAYS_RAD: Final = np.radians(30.0)
LOOK_UP_DOWN_RAD: Final = np.radians(25.0)
LID_FOLLOW: Final = {"eyeLookUp": 1.6, "eyeLookDown": 1.4, "eyeLookIn": 1.6, "eyeLookOut": 1.6}
"""Factors on the sculpted lid motion of the gaze expressions."""

Array = NDArray[np.float64]


def joint_vertices(data: MakeHuman) -> dict[str, NDArray[np.int64]]:
    """Base mesh vertices whose mean gives the joint: for the jaw and the neck (between the rig's second and third neck bone) the
    joint itself, for the eyes the front octagon of MakeHuman's eyeball, ``eyeball.CENTRE_DEPTH_M`` before the joint.
    """
    found = {"jaw": data.group(JAW_GROUP)}
    for joint, eye in EYE_GROUPS.items():
        vertices = data.group(eye)
        depth = data.mesh.vertices[vertices, 2]
        found[joint] = vertices[depth > depth.max() - 0.001]
    head = data.bones["neck03"]["head"]
    assert isinstance(head, dict)
    neck = np.array(head["vertex_indices"], np.int64)
    found["neck"] = np.concatenate([neck, data.mirror()[neck]])
    return found


def rotation_matrix(axis_angle: Array) -> Array:
    """(3, 3) rotation of an axis-angle vector (Rodrigues)."""
    angle = float(np.linalg.norm(axis_angle))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    result: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def best_rotation(source: Array, target: Array, weight: Array | None = None) -> Array:
    """(3, 3) rotation that takes ``source`` (n, 3) onto ``target`` up to a translation, weighted by ``weight`` (n,) (Kabsch)."""
    share = np.full(len(source), 1 / len(source)) if weight is None else weight / weight.sum()
    moments = (target - share @ target).T @ (share[:, None] * (source - share @ source))
    left, _values, right = np.linalg.svd(moments)
    result: Array = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return result


def jaw_open_angle(rest: Array, opened: Array) -> float:
    """Angle about +x, radians, by which the lower teeth (``rest``, ``opened``: (n, 3)) turn."""
    turn = best_rotation(rest, opened)
    return float(np.arctan2(turn[2, 1] - turn[1, 2], turn[1, 1] + turn[2, 2]))


def jaw_weights(mesh: HeadMesh, rest: Array, offset: Array, jaw: Array, angle: float) -> Array:
    """(V,) how much of the jaw's rotation each vertex follows, from the sculpted open jaw.

    The least-squares share of the rotation's displacement in the target's displacement; the sculpted target is smooth, so the
    weights are; what they leave over stays in the expression basis.

    Args:
        rest: (V, 3) the shape that the target was made on.
        offset: (V, 3) the target.
        jaw: (3,) the joint.
    """
    arm = rest - jaw
    swing = arm @ rotation_matrix(np.array([angle, 0.0, 0.0])).T - arm
    reach = np.einsum("vi,vi->v", swing, swing)
    # Close to the axis the rotation moves nothing and the quotient means nothing: fade to zero within 15 mm.
    near = np.clip(np.linalg.norm(arm[:, 1:], axis=1) / 0.015, 0, 1)
    share = np.einsum("vi,vi->v", swing, offset) / np.maximum(reach, 1e-12)
    # What follows by a few per cent (the nose) is soft tissue, not bone: it stays in the expression basis.
    weights = np.clip((share - 0.05) / 0.95, 0.0, 1.0) * near
    weights[(mesh.groups == "helper-lower-teeth") | (mesh.groups == "helper-tongue")] = 1.0
    weights[np.isin(mesh.groups, ("helper-upper-teeth", *EYE_GROUPS))] = 0.0
    result: Array = (weights + weights[mesh.mirror]) / 2
    return result


def skin_weights(data: MakeHuman, mesh: HeadMesh, jaw: Array) -> Array:
    """(V, 5) skinning weights over ``JOINT_NAMES``; rows sum to one."""
    trunk = np.zeros(len(data.mesh.vertices))
    total = np.zeros_like(trunk)
    for bone in data.bones:
        weight = data.bone_weights(bone)
        total += weight
        # The neck's bones hand over from the trunk to the head bit by bit.
        trunk += weight * (
            0.8 if bone == "neck01" else 0.4 if bone == "neck02" else 0.0 if bone == "neck03" or _on_head(bone) else 1.0
        )
    trunk_share = np.zeros(mesh.count)
    trunk_share[: len(mesh.source)] = (trunk / np.maximum(total, 1e-9))[mesh.source]
    trunk_share = (trunk_share + trunk_share[mesh.mirror]) / 2
    weights = np.zeros((mesh.count, len(JOINT_NAMES)))
    helper = mesh.groups != "body"
    weights[:, 0] = np.where(helper, 0.0, trunk_share) * (1 - jaw)
    weights[:, 2] = jaw
    weights[:, 1] = 1 - weights[:, 0] - weights[:, 2]
    for joint in EYE_GROUPS:
        weights[mesh.groups == joint] = np.eye(len(JOINT_NAMES))[JOINT_NAMES.index(joint)]
    return weights


def _on_head(bone: str) -> bool:
    return HEAD_BONES.match(bone) is not None and not bone.startswith("neck")


def eye_drives() -> dict[str, tuple[str, Array]]:
    """Expression name -> (joint, axis-angle per unit weight) of the eight gaze expressions."""
    drives: dict[str, tuple[str, Array]] = {}
    for side, joint, outward in (("Left", "eye_left", 1.0), ("Right", "eye_right", -1.0)):
        drives[f"eyeLookUp{side}"] = (joint, np.array([-LOOK_UP_DOWN_RAD, 0.0, 0.0]))
        drives[f"eyeLookDown{side}"] = (joint, np.array([LOOK_UP_DOWN_RAD, 0.0, 0.0]))
        drives[f"eyeLookOut{side}"] = (joint, np.array([0.0, outward * LOOK_SIDEWAYS_RAD, 0.0]))
        drives[f"eyeLookIn{side}"] = (joint, np.array([0.0, -outward * LOOK_SIDEWAYS_RAD, 0.0]))
    return drives


def unpose(rest: Array, posed: Array, weights: Array, joints: Array, rotations: dict[str, Array]) -> Array:
    """(V, 3) offset to add to ``rest`` before skinning so that skinning lands on ``posed``.

    Args:
        rest: (V, 3).
        posed: (V, 3).
        weights: (V, J).
        joints: (J, 3) rest positions.
        rotations: joint name -> axis-angle of joints that hang directly from an unmoved parent.
    """
    linear = np.broadcast_to(np.eye(3), (len(rest), 3, 3)).copy()
    shift = np.zeros_like(rest)
    for name, axis_angle in rotations.items():
        j = JOINT_NAMES.index(name)
        turn = rotation_matrix(axis_angle) - np.eye(3)
        linear += weights[:, j, None, None] * turn
        shift -= weights[:, j, None] * (turn @ joints[j])
    result: Array = np.linalg.solve(linear, (posed - shift)[:, :, None])[:, :, 0] - rest
    return result
