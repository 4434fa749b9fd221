"""The 52 ARKit expressions from MakeHuman's face units, their rigid jaw and eye parts handed to the joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.build_head import rig
from tools.build_head.makehuman import MakeHuman
from tools.build_head.selection import HeadMesh
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Expressions:
    """Expression basis and joint drives."""

    basis: Array
    """(V, 3, 52) metres per unit weight, applied before skinning."""
    joint_drive: Array
    """(52, J, 3) radians per unit weight."""
    weights: Array
    """(V, J) skinning weights."""


def build_expressions(
    data: MakeHuman, mesh: HeadMesh, rest: Array, joints: Array, turn: Array, scale: float
) -> Expressions:
    """Make the expressions on MakeHuman's base shape.

    Args:
        rest: (V, 3) the base shape that the targets were sculpted on, in head axes, metres.
        joints: (J, 3) its joints.
        turn: (3, 3) rotation from MakeHuman's axes to head axes.
        scale: metres per decimetre of target offset.
    """
    offsets = {name: np.zeros((mesh.count, 3)) for name in ARKIT_NAMES}
    for name, offset in offsets.items():
        offset[: len(mesh.source)] = data.face_unit(name)[mesh.source] @ turn.T * scale
    drive = np.zeros((len(ARKIT_NAMES), len(rig.JOINT_NAMES), 3))
    jaw = joints[rig.JOINT_NAMES.index("jaw")]
    teeth = mesh.groups == "helper-lower-teeth"

    opened = offsets["jawOpen"]
    angle = rig.jaw_open_angle(rest[teeth], (rest + opened)[teeth])
    weights = rig.skin_weights(data, mesh, rig.jaw_weights(mesh, rest, opened, jaw, angle))

    arm = rest[teeth].mean(0) - jaw
    sideways = offsets["jawLeft"][teeth].mean(0)[0]
    jaw_drives = {
        "jawOpen": np.array([angle, 0.0, 0.0]),
        "jawLeft": np.array([0.0, np.arcsin(sideways / arm[2]), 0.0]),
        "jawRight": np.array([0.0, -np.arcsin(sideways / arm[2]), 0.0]),
    }
    basis = np.zeros((len(rest), 3, len(ARKIT_NAMES)))
    for name, offset in offsets.items():
        turns = {"jaw": jaw_drives[name]} if name in jaw_drives else {}
        if name in jaw_drives:
            drive[ARKIT_INDEX[name], rig.JOINT_NAMES.index("jaw")] = jaw_drives[name]
        basis[:, :, ARKIT_INDEX[name]] = rig.unpose(rest, rest + offset, weights, joints, turns)

    # mouthClose was sculpted to be added to jawOpen: make the pair land where the sum of the two targets lands.
    both = rig.unpose(rest, rest + opened + offsets["mouthClose"], weights, joints, {"jaw": jaw_drives["jawOpen"]})
    basis[:, :, ARKIT_INDEX["mouthClose"]] = both - basis[:, :, ARKIT_INDEX["jawOpen"]]

    for name, (joint, axis_angle) in rig.eye_drives().items():
        # The targets turn the eye by 10 to 15 degrees; the lids follow the larger turn used here.
        basis[:, :, ARKIT_INDEX[name]] *= rig.LID_FOLLOW[name.removesuffix("Left").removesuffix("Right")]
        drive[ARKIT_INDEX[name], rig.JOINT_NAMES.index(joint)] = axis_angle
    return Expressions(_mirrored_pairs(basis, mesh), drive, weights)


def _mirrored_pairs(basis: Array, mesh: HeadMesh) -> Array:
    """Make left and right expressions mirror images of each other, and the others symmetric."""
    result = np.empty_like(basis)
    for name, index in ARKIT_INDEX.items():
        partner = ARKIT_INDEX[mirror_name(name)]
        result[:, :, index] = (basis[:, :, index] + basis[mesh.mirror][:, :, partner] * np.array([-1.0, 1.0, 1.0])) / 2
    return result


def mirror_name(name: str) -> str:
    """The expression of the other side: eyeBlinkLeft -> eyeBlinkRight; itself where there is none."""
    if name.endswith("Left"):
        return f"{name[:-4]}Right"
    if name.endswith("Right"):
        return f"{name[:-5]}Left"
    return name
