"""Recording live faces to keyframes."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.blender import known
from tests.blender.conftest import Stage, free_port, until
from tests.blender.in_blender.session import MODULE, bpy, connect, curves, keys_of, live, settings, tick


def test_recorded_keyframes_are_the_values_of_the_stream(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    head, scene = settings().face, bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.0
    scene.frame_set(11)
    session = connect(stage("--fps=90"))
    until(lambda: session.feed.latest is not None, tick)
    assert bpy.ops.facestream.record() == {"FINISHED"}
    until(lambda: len(session.recorder.clip.samples) >= 40, tick)
    time.sleep(0.2)  # A stall: what comes meanwhile is recorded too.
    tick()
    clip = session.recorder.clip
    assert bpy.ops.facestream.record_stop() == {"FINISHED"}
    assert session.recorder is None and session.feed.dropped == 0
    arkit = importlib.import_module(MODULE + ".arkit").ARKIT_NAMES
    blocks = curves(head.data.shape_keys)
    assert len(blocks) == 52
    table = np.stack([keys_of(blocks[f'key_blocks["{name}"].value', 0]) for name in arkit], axis=2)
    first = next(i for i in range(100000) if np.allclose(table[0, 1], known.arkit(i), atol=1e-6))
    assert len(table) == len(clip.samples) > 50
    for row in range(len(table)):
        np.testing.assert_allclose(table[row, 1], known.arkit(first + row), atol=1e-6)
        seconds = (known.t_capture_ns(first + row) - known.t_capture_ns(first)) / 1e9
        assert table[row, 0, 0] == pytest.approx(11 + 24 * seconds, abs=1e-4)
    turns = curves(head)
    quaternions = np.stack([keys_of(turns["rotation_quaternion", axis])[:, 1] for axis in range(4)], axis=1)
    assert (np.sum(quaternions[1:] * quaternions[:-1], axis=1) > 0.9).all()
    live().stop()
    scene.frame_set(round(float(table[30, 0, 0])), subframe=0.0)
    assert 0 <= head.data.shape_keys.key_blocks["jawOpen"].value <= 1


def test_each_take_is_an_action_of_its_own_and_can_be_undone(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    bpy.ops.ed.undo_push(message="head")
    session = connect(stage())
    for _ in range(2):
        bpy.ops.facestream.record()
        until(lambda: len(session.recorder.clip.samples) >= 5, tick)
        bpy.ops.facestream.record_stop()
    names = sorted(action.name for action in bpy.data.actions)
    assert {name[:8] for name in names} == {"Take 001", "Take 002"}
    assert all(action.use_fake_user for action in bpy.data.actions)
    bpy.ops.ed.undo_push(message="takes")
    bpy.ops.ed.undo()
    for _ in range(5):
        tick()
    assert len(bpy.data.actions) == 0
    assert settings().face.data.shape_keys.animation_data is None
    before = session.feed.latest
    until(lambda: session.feed.latest is not before, tick)


def test_stopping_without_frames_writes_nothing(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    settings().endpoint = f"tcp://127.0.0.1:{free_port()}"
    bpy.ops.facestream.connect()
    bpy.ops.facestream.record()
    until(lambda: "nobody listens" in live().session().state, tick)
    assert bpy.ops.facestream.record_stop() == {"CANCELLED"}
    assert len(bpy.data.actions) == 0


def test_disconnecting_keeps_the_recording(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    session = connect(stage())
    bpy.ops.facestream.record()
    until(lambda: len(session.recorder.clip.samples) >= 5, tick)
    assert bpy.ops.facestream.disconnect() == {"FINISHED"}
    assert len(bpy.data.actions) >= 1 and live().session() is None
