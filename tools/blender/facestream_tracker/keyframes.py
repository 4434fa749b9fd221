"""Takes as keyframes: one action for each, at exact times."""

from __future__ import annotations

from fractions import Fraction

import bpy
import numpy as np
from numpy.typing import NDArray

from .driving import Channel
from .samples import Clip, key_frames, scene_rate

_LINEAR = 1
"""Of the enum of interpolations, as ``foreach_set`` takes it."""


def write_clip(
    clip: Clip, channels: list[Channel], scene: bpy.types.Scene, start: int, *, whole_frames: bool = False
) -> list[bpy.types.Action]:
    """Key a take onto channels, in new actions; those that were there stay in the file.

    From Blender 4.4 on, one action with a slot for each object holds a take; before, each object needs its own.

    Args:
        clip: the take.
        channels: what it drives, see ``driving.channels``.
        scene: whose frame rate counts.
        start: scene frame of the take's first frame.
        whole_frames: one key a scene frame, interpolated, instead of keys at the take's own times.
    """
    frames = key_frames(clip.times, scene_rate(scene.render.fps, scene.render.fps_base), start)
    owners: dict[bpy.types.ID, list[Channel]] = {}
    for channel in channels:
        owners.setdefault(channel.owner, []).append(channel)
    actions: list[bpy.types.Action] = []
    for owner, mine in owners.items():
        if actions and hasattr(bpy.types.Action, "slots"):
            action = actions[0]
        else:
            what = "" if hasattr(bpy.types.Action, "slots") else f" {owner.name}"
            action = bpy.data.actions.new(clip.name + what)
            # Without a user an earlier take would be gone after saving and loading.
            action.use_fake_user = True
            actions.append(action)
        curves = _curves_for(action, owner)
        for channel in mine:
            table = np.array([channel.values(sample) for sample in clip.samples], np.float64)
            table = _continuous(table, channel.path)
            at, table = (_on_whole_frames(frames, table)) if whole_frames else (frames, table)
            for index in range(table.shape[1]):
                _write(curves, channel, index, at, table[:, index])
    return actions


def _curves_for(action: bpy.types.Action, owner: bpy.types.ID) -> bpy.types.bpy_prop_collection:
    """Where curves for ``owner`` go, the action assigned to it."""
    data = owner.animation_data or owner.animation_data_create()
    if not hasattr(action, "slots"):
        data.action = action
        return action.fcurves
    slot = action.slots.new(owner.id_type, owner.name)
    layer = action.layers[0] if action.layers else action.layers.new("Take")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    data.action = action
    data.action_slot = slot
    return strip.channelbag(slot, ensure=True).fcurves


def _write(
    curves: bpy.types.bpy_prop_collection,
    channel: Channel,
    index: int,
    frames: NDArray[np.float64],
    values: NDArray[np.float64],
) -> None:
    curve = curves.new(channel.path, index=index)
    points = curve.keyframe_points
    points.add(len(frames))
    points.foreach_set("co", np.column_stack([frames, values]).astype(np.float32).ravel())
    points.foreach_set("interpolation", np.full(len(frames), _LINEAR, np.int32))
    curve.update()


def _continuous(table: NDArray[np.float64], path: str) -> NDArray[np.float64]:
    """The same rotations without jumps: neighbouring quaternions in one half of their space, Euler angles unwrapped."""
    if path.endswith("rotation_quaternion"):
        flips = np.where((table[1:] * table[:-1]).sum(axis=1) < 0, -1.0, 1.0)
        table[1:] *= np.cumprod(flips)[:, None]
    elif path.endswith("rotation_euler"):
        table = np.unwrap(table, axis=0)
    return table


def _on_whole_frames(
    frames: NDArray[np.float64], table: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.arange(np.ceil(frames[0]), np.floor(frames[-1]) + 1)
    if at.size == 0:
        at = np.round(frames[:1])
    return at, np.column_stack([np.interp(at, frames, column) for column in table.T])


def frame_range(clip: Clip, scene: bpy.types.Scene, start: int) -> tuple[int, int]:
    """First and last scene frame that a take covers."""
    rate = scene_rate(scene.render.fps, scene.render.fps_base)
    return start, start + max(0, -int(-(clip.times[-1] * rate) // 1))


def set_scene_rate(scene: bpy.types.Scene, rate: Fraction) -> None:
    """Give the scene an exact rate, such as 30000/1001."""
    whole = -int(-rate // 1)
    scene.render.fps = whole
    scene.render.fps_base = float(Fraction(whole) / rate)
