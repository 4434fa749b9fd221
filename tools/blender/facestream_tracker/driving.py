"""From a sample to the values of shape keys, objects and bones; used live and for keyframes alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bpy
import numpy as np
from mathutils import Matrix

from .arkit import Matching, match_shape_keys
from .axes import Float64, head_position, head_rotation, quaternion_from_matrix, scaled
from .rig import BoneRest, Strengths, bone_turns, facing_turn
from .samples import Sample

if TYPE_CHECKING:
    from .properties import FaceStreamSettings

BONES = {"neck": "neck_bone", "head": "head_bone", "eye_left": "eye_left_bone", "eye_right": "eye_right_bone"}
"""Our name of a bone -> the setting that holds the name in the armature."""
ROTATION_PATHS = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


class TargetError(Exception):
    """A setting that drives nothing, in a line that says what to choose."""


@dataclass(frozen=True)
class Channel:
    """An animated property."""

    owner: bpy.types.ID
    """Whose action holds its curves."""
    holder: bpy.types.bpy_struct
    """Where the property lies: the object, a shape key or a bone of the pose."""
    path: str
    """From ``owner`` to the property."""
    values: Callable[[Sample], list[float]]
    """Its entries for a sample; a single one for plain numbers."""

    def apply(self, sample: Sample) -> None:
        values = self.values(sample)
        name = self.path.rpartition(".")[2]
        setattr(self.holder, name, values[0] if len(values) == 1 else values)


def matching_of(face: bpy.types.Object | None) -> Matching | None:
    """Which shape keys of an object follow the stream; None when it has none."""
    keys = None if face is None or face.type != "MESH" else face.data.shape_keys
    if keys is None:
        return None
    return match_shape_keys(key.name for key in keys.key_blocks[1:])


def channels(settings: FaceStreamSettings) -> tuple[list[Channel], list[str]]:
    """All that the settings drive, and what is wrong with the rest of them, in a line each."""
    found: list[Channel] = []
    problems: list[str] = []
    for chosen, part in (
        (settings.face, _shape_keys),
        (settings.head_object, _head_object),
        (settings.armature, _bones),
    ):
        if chosen is not None:
            try:
                found += part(settings)
            except TargetError as error:
                problems.append(str(error))
    if not found and not problems:
        problems.append("nothing to drive: build a head, or choose a face mesh, a head object or an armature")
    return found, problems


def _shape_keys(settings: FaceStreamSettings) -> list[Channel]:
    matching = matching_of(settings.face)
    if matching is None:
        raise TargetError(f"'{settings.face.name}' has no shape keys; choose a mesh with ARKit's, or build a head")
    if not matching.bindings:
        raise TargetError(
            f"none of the {len(matching.unused)} shape keys of '{settings.face.name}' has an ARKit name like jawOpen"
        )
    keys = settings.face.data.shape_keys
    strength = settings.expression_strength
    found = []
    for binding in matching.bindings:
        block = keys.key_blocks[binding.key]
        low, high = float(block.slider_min), float(block.slider_max)

        # Blender clamps what is set, not what is keyed: clamping here keeps both alike.
        def values(
            sample: Sample, sources: tuple[int, ...] = binding.sources, low: float = low, high: float = high
        ) -> list[float]:
            return [min(max(float(sample.arkit[list(sources)].mean()) * strength, low), high)]

        found.append(Channel(keys, block, f'key_blocks["{bpy.utils.escape_identifier(binding.key)}"].value', values))
    return found


def _head_object(settings: FaceStreamSettings) -> list[Channel]:
    owner, strength = settings.head_object, settings.head_strength
    if owner.rotation_mode != "QUATERNION":
        owner.rotation_mode = "QUATERNION"
    found = [
        Channel(
            owner,
            owner,
            "rotation_quaternion",
            lambda sample: quaternion_from_matrix(scaled(head_rotation(sample.quaternion), strength)).tolist(),
        )
    ]
    if settings.head_motion == "FULL":
        found.append(Channel(owner, owner, "location", lambda sample: head_position(sample.position).tolist()))
    return found


def _bones(settings: FaceStreamSettings) -> list[Channel]:
    armature = settings.armature
    chosen = {name: getattr(settings, prop) for name, prop in BONES.items() if getattr(settings, prop)}
    for name in chosen.values():
        if name not in armature.pose.bones:
            raise TargetError(f"armature '{armature.name}' has no bone '{name}'")
    if not chosen:
        raise TargetError(f"choose the bones of '{armature.name}' to drive: Find Bones looks for usual names")
    rests = {
        name: BoneRest(
            np.array(armature.data.bones[bone].matrix_local.to_3x3(), np.float64),
            _hangs_on(armature.data.bones[bone], chosen.get("neck", "")),
            _hangs_on(armature.data.bones[bone], chosen.get("head", "")),
        )
        for name, bone in chosen.items()
    }
    strengths = Strengths(settings.head_strength, settings.eye_strength, settings.neck_share)
    facing = facing_turn(float(settings.facing))
    # All bones need the same turns: they are worked out once for a sample.
    last: list[object] = [None, {}]

    def turns(sample: Sample) -> dict[str, Float64]:
        if last[0] is not sample:
            last[:] = [sample, bone_turns(sample, rests, strengths, facing)]
        return last[1]  # type: ignore[return-value]

    found = []
    for name, bone in chosen.items():
        posed = armature.pose.bones[bone]
        mode = posed.rotation_mode
        path = f'pose.bones["{bpy.utils.escape_identifier(bone)}"].' + ROTATION_PATHS.get(mode, "rotation_euler")

        def values(sample: Sample, name: str = name, mode: str = mode) -> list[float]:
            return _rotation_values(turns(sample)[name], mode)

        found.append(Channel(armature, posed, path, values))
    return found


def _hangs_on(bone: bpy.types.Bone, ancestor: str) -> bool:
    return bool(ancestor) and any(parent.name == ancestor for parent in bone.parent_recursive)


def _rotation_values(turn: Float64, mode: str) -> list[float]:
    if mode == "QUATERNION":
        return list(quaternion_from_matrix(turn).tolist())
    matrix = Matrix(turn.tolist())
    if mode == "AXIS_ANGLE":
        axis, angle = matrix.to_quaternion().to_axis_angle()
        return [angle, *axis]
    return list(matrix.to_euler(mode))


_BONE_WORDS = {
    "neck": ("neck", "neck01", "neck_01", "mixamorig:neck", "j_bip_c_neck", "spine.004"),
    "head": ("head", "mixamorig:head", "j_bip_c_head", "spine.006"),
    "eye_left": (
        "eye.l", "eye_l", "lefteye", "eyeleft", "eye_left", "left_eye", "j_adj_l_faceeye", "mixamorig:lefteye", "master_eye.l",
    ),
    "eye_right": (
        "eye.r", "eye_r", "righteye", "eyeright", "eye_right", "right_eye", "j_adj_r_faceeye", "mixamorig:righteye",
        "master_eye.r",
    ),
}  # fmt: skip


def guess_bones(names: list[str]) -> dict[str, str]:
    """Our names of bones -> those of an armature that are usually called so (Rigify, Mixamo, VRM, Unreal, ARKit …)."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return {
        role: next((by_lower[word] for word in words if word in by_lower), "") for role, words in _BONE_WORDS.items()
    }
