"""Live faces in Blender: the built head, any shape keys, a rig, the matching camera."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.blender import known
from tests.blender.conftest import Stage, free_port, until
from tests.blender.in_blender.session import MODULE, add_armature, bpy, connect, index_of, live, settings, tick, turn_of


def test_the_stream_drives_the_built_head(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    head = settings().face
    settings().head_motion = "FULL"
    session = connect(stage())
    assert bpy.app.timers.is_registered(live()._tick)
    until(lambda: session.feed.latest is not None and session.feed.identities, tick)
    until(lambda: session._shape_version, tick)
    for _ in range(20):
        tick()
        time.sleep(0.01)
    index = index_of(session.feed.latest)
    blocks = head.data.shape_keys.key_blocks
    arkit = importlib.import_module(MODULE + ".arkit")
    values = [blocks[name].value for name in arkit.ARKIT_NAMES]
    np.testing.assert_allclose(values, known.arkit(index), atol=1e-6)
    np.testing.assert_allclose(np.array(head.rotation_quaternion.to_matrix()), turn_of(index), atol=1e-6)
    x, y, z = known.position(index)
    np.testing.assert_allclose(head.location, [x, z, -y], atol=1e-6)
    # The mesh itself: the person's shape and all expressions, as the evaluated geometry has them.
    model = live().load_head("")
    neutral, posed = model.shapes(known.identity(model.identity_count))
    expected = neutral + np.tensordot(known.arkit(index), posed - neutral, axes=1)
    evaluated = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.zeros(3 * len(evaluated.vertices), np.float32)
    evaluated.vertices.foreach_get("co", points)
    np.testing.assert_allclose(points.reshape(-1, 3), expected, atol=5e-6)
    assert session.feed.dropped == 0 and session.state == "tracking"


def test_a_tick_leaves_time_for_everything_else(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    settings().armature = add_armature()
    bpy.ops.facestream.find_bones()
    session = connect(stage("--fps=120"))
    until(lambda: session._shape_version, tick)
    spent = []
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        before = session.feed.latest
        started = time.perf_counter()
        tick()
        if session.feed.latest is not before:
            spent.append(time.perf_counter() - started)
        time.sleep(0.004)
    print(f"median tick with a frame {1e3 * np.median(spent):.2f} ms")
    assert len(spent) > 60 and np.median(spent) < 0.01


def test_shape_keys_of_any_mesh_are_found_and_the_rest_reported(stage: Callable[..., Stage]) -> None:
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    face = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(face)
    settings().face = face
    session = connect(stage())
    until(lambda: session.target_problem, tick)
    assert "has no shape keys" in session.target_problem
    for name in ("Basis", "JawOpen", "eye_blink_L", "browInnerUp_R", "Smug"):
        face.shape_key_add(name=name).value = 0.25
    until(lambda: not session.target_problem, tick)
    tick()
    expected = known.arkit(index_of(session.feed.latest))
    arkit = importlib.import_module(MODULE + ".arkit").ARKIT_NAMES
    blocks = mesh.shape_keys.key_blocks
    assert blocks["JawOpen"].value == pytest.approx(expected[arkit.index("jawOpen")], abs=1e-6)
    assert blocks["eye_blink_L"].value == pytest.approx(expected[arkit.index("eyeBlinkLeft")], abs=1e-6)
    assert blocks["Smug"].value == 0.25
    assert bpy.ops.facestream.report_keys() == {"FINISHED"}
    settings().mirror = True
    until(lambda: session.feed.latest is not None, tick)
    index = index_of(session.feed.latest)
    until(lambda: index_of(session.feed.latest) > index, tick)
    mirrored = known.arkit(index_of(session.feed.latest))[arkit.index("eyeBlinkRight")]
    assert blocks["eye_blink_L"].value == pytest.approx(mirrored, abs=1e-6)


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "AXIS_ANGLE"])
def test_bones_turn_with_the_face_in_every_rotation_mode(stage: Callable[..., Stage], mode: str) -> None:
    rig = add_armature()
    settings().armature = rig
    for bone in rig.pose.bones:
        bone.rotation_mode = mode
    assert bpy.ops.facestream.find_bones() == {"FINISHED"}
    assert settings().head_bone == "spine.006" and settings().eye_left_bone == "eye.L"
    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    for _ in range(10):
        tick()
        time.sleep(0.01)
    index = index_of(session.feed.latest)
    bpy.context.view_layer.update()

    def turn(name: str) -> np.ndarray:
        rest = np.array(rig.data.bones[name].matrix_local.to_3x3())
        return np.array(rig.pose.bones[name].matrix.to_3x3()) @ rest.T

    np.testing.assert_allclose(turn("spine.006"), turn_of(index), atol=2e-5)
    look = turn_of(index).T @ turn("eye.L") @ [0, -1, 0]
    yaw, pitch = known.gaze(index)[0]
    assert math.asin(look[0] / math.cos(pitch)) == pytest.approx(yaw, abs=1e-4)
    assert math.asin(look[2]) == pytest.approx(pitch, abs=1e-4)
    settings().head_bone = "gone"
    until(lambda: session.target_problem, tick)
    assert "no bone 'gone'" in session.target_problem


def test_the_tracker_may_restart_and_the_file_may_change(stage: Callable[..., Stage], tmp_path: Path) -> None:
    bpy.ops.facestream.build_head()
    publisher = stage()
    session = connect(publisher)
    until(lambda: session.feed.latest is not None, tick)
    publisher.stop()
    until(lambda: not session.feed.connected, tick)
    publisher.start()
    until(lambda: session.feed.restarts == 1, tick)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.read_homefile(app_template="", use_empty=True)
    assert bpy.app.timers.is_registered(live()._tick)
    until(lambda: "nothing to drive" in session.target_problem, tick)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    until(lambda: not session.target_problem, tick)
    blocks = settings().face.data.shape_keys.key_blocks
    value = blocks["jawOpen"].value
    until(lambda: blocks["jawOpen"].value != value, tick)


def test_recenter_asks_the_tracker(stage: Callable[..., Stage]) -> None:
    session = connect(stage())
    bpy.ops.facestream.recenter()
    until(lambda: session.request is None, tick)
    assert session.note.startswith("recentred")
    settings().control = f"tcp://127.0.0.1:{free_port()}"
    bpy.ops.facestream.recenter()
    until(lambda: session.request is None, tick)
    assert "nobody listens" in session.note


def test_the_face_is_chosen_by_its_number(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    session = connect(stage("--faces=2"))
    blocks = settings().face.data.shape_keys.key_blocks
    until(lambda: session.following == 1, tick)
    settings().face_id = 2
    until(lambda: session.following == 2, tick)
    arkit = importlib.import_module(MODULE + ".arkit").ARKIT_NAMES
    expected = 1 - known.arkit(index_of(session.feed.latest))[arkit.index("jawOpen")]
    assert blocks["jawOpen"].value == pytest.approx(float(expected), abs=1e-6)


def test_the_matching_camera_sees_the_head_where_it_was_seen(stage: Callable[..., Stage]) -> None:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    assert bpy.ops.facestream.add_camera() == {"FINISHED"}
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    width, height = known.SIZE
    focal = session.feed.latest.focal_px
    for x, y, z in ((0.1, 0.05, 0.6), (-0.2, 0.1, 0.9)):
        seen = world_to_camera_view(scene, scene.camera, Vector((x, z, -y)))
        assert seen.x * width == pytest.approx(focal * x / z + width / 2, abs=0.01)
        assert (1 - seen.y) * height == pytest.approx(focal * y / z + height / 2, abs=0.01)
