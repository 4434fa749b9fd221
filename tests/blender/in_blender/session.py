"""Blender with the add-on, as the tests of this folder use it. They are skipped where Blender is no Python module."""

from __future__ import annotations

import importlib
import os
import tempfile
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.blender import known
from tests.blender.conftest import Stage

# Before Blender is imported: nothing of this user's settings is read or written.
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="blender-test-"))
bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module: make test-blender")

MODULE = "bl_ext.user_default.facestream_tracker"
TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def live() -> ModuleType:
    return importlib.import_module(MODULE + ".live")


def settings() -> Any:
    return bpy.context.scene.facestream


def tick() -> None:
    """What Blender's event loop does; as a module it has none."""
    live()._tick()


def connect(publisher: Stage) -> Any:
    settings().endpoint, settings().control = publisher.endpoint, publisher.control
    assert bpy.ops.facestream.connect() == {"FINISHED"}
    return live().session()


def index_of(frame: Any) -> int:
    index = round((frame.t_capture_ns - known.FIRST_NS) / 1e9 * known.RATE)
    assert known.t_capture_ns(index) == frame.t_capture_ns
    return index


def turn_of(index: int) -> np.ndarray:
    """The head's turn in Blender's axes, worked out without the add-on."""
    import mathutils

    vector = TO_BLENDER @ known.rotvec_turn(index)
    angle = float(np.linalg.norm(vector))
    return np.array(mathutils.Quaternion(vector / max(angle, 1e-12), angle).to_matrix())


def curves(owner: Any) -> dict[tuple[str, int], Any]:
    action = owner.animation_data.action
    if not hasattr(action, "slots"):
        return {(curve.data_path, curve.array_index): curve for curve in action.fcurves}
    bag = action.layers[0].strips[0].channelbag(owner.animation_data.action_slot)
    return {(curve.data_path, curve.array_index): curve for curve in bag.fcurves}


def keys_of(curve: Any) -> np.ndarray:
    flat = np.zeros(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", flat)
    return flat.reshape(-1, 2)


def add_armature(extra_turn: float = 0.0) -> Any:
    """Neck, head and eyes; the head leans forward in its rest pose."""
    data = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for name, start, end in (
        ("spine.004", (0, 0, 1.4), (0, -0.02, 1.5)),
        ("spine.006", (0, -0.02, 1.5), (0.01, -0.05, 1.7)),
        ("eye.L", (0.03, -0.1, 1.6), (0.03, -0.2, 1.62)),
        ("eye.R", (-0.03, -0.1, 1.6), (-0.03, -0.2, 1.62)),
    ):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail, bone.roll = start, end, 0.3 + extra_turn
        bone.parent = parent
        if not name.startswith("eye"):
            parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig
