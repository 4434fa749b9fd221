"""How far each bone turns: pure arithmetic on rest poses, without Blender."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .axes import Float64, eye_rotation, head_rotation, scaled
from .samples import Sample


@dataclass(frozen=True)
class BoneRest:
    """What has to be known of a bone: its rest orientation, and which of our bones it hangs on."""

    rest: Float64
    """(3, 3) rest orientation in the armature's axes."""
    under_neck: bool = False
    under_head: bool = False


@dataclass(frozen=True)
class Strengths:
    """Factors on what was tracked."""

    head: float = 1.0
    eyes: float = 1.0
    neck_share: float = 0.4
    """Share of the head's turn that the neck takes."""


def facing_turn(degrees: float) -> Float64:
    """(3, 3) from a character that looks along -y to one that is turned by this about z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def bone_turns(sample: Sample, bones: dict[str, BoneRest], strengths: Strengths, facing: Float64) -> dict[str, Float64]:
    """Pose rotations (3, 3) in each bone's own axes, for ``neck``, ``head``, ``eye_left``, ``eye_right`` as far as given.

    Rest poses are respected: a face that looks into the camera leaves every bone at rest, and bones above the neck may do
    what they like. ``facing`` is where the character looks in the armature's axes.
    """
    head = facing @ scaled(head_rotation(sample.quaternion), strengths.head) @ facing.T
    neck = scaled(head, strengths.neck_share) if "neck" in bones and "head" in bones else np.eye(3)
    if "neck" in bones and "head" not in bones:
        neck = head
    turns: dict[str, Float64] = {}
    for name, bone in bones.items():
        if name == "neck":
            turn = neck
        elif name == "head":
            turn = neck.T @ head if bone.under_neck else head
        else:
            gaze = sample.gaze[0 if name == "eye_left" else 1]
            turn = facing @ scaled(eye_rotation(float(gaze[0]), float(gaze[1])), strengths.eyes) @ facing.T
            if bone.under_neck and not bone.under_head:
                turn = neck.T @ head @ turn
            elif not bone.under_head:
                turn = head @ turn
        turns[name] = bone.rest.T @ turn @ bone.rest
    return turns
