"""The add-on in Blender itself, installed from its zip: ``make test-blender``."""

from __future__ import annotations

import importlib
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.blender import known
from tests.blender.conftest import ROOT, Stage, free_port, until
from tools.blender.package import pack

# Before Blender is imported: nothing of this user's settings is read or written.
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="blender-test-"))
bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module: make test-blender")

MODULE = "bl_ext.user_default.facestream_tracker"
TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    archive = pack(tmp_path_factory.mktemp("zip"))
    done = bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    assert done == {"FINISHED"}
    yield
    bpy.ops.preferences.addon_disable(module=MODULE)


@pytest.fixture(autouse=True)
def empty_file() -> Iterator[None]:
    bpy.ops.wm.read_homefile(app_template="", use_empty=True)
    yield
    live().stop()


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


def test_imported_takes_have_the_numbers_of_the_file(known_take: Path) -> None:
    bpy.ops.facestream.build_head()
    head = settings().face
    settings().armature = add_armature()
    bpy.ops.facestream.find_bones()
    settings().head_motion = "FULL"
    assert bpy.ops.facestream.import_take(filepath=str(known_take), start=101) == {"FINISHED"}
    scene = bpy.context.scene
    assert scene.render.fps == 30 and scene.render.fps_base == pytest.approx(1.001)
    with np.load(known_take) as take:
        present = take["face_id"] >= 0
        rows, names = np.flatnonzero(present), [str(name) for name in take["arkit_names"]]
        blocks = curves(head.data.shape_keys)
        for column, name in enumerate(names):
            keys = keys_of(blocks[f'key_blocks["{name}"].value', 0])
            np.testing.assert_array_equal(keys[:, 0], 101 + rows)
            np.testing.assert_allclose(keys[:, 1], take["arkit"][rows, column], atol=1e-7)
        places = np.stack([keys_of(curves(head)["location", axis])[:, 1] for axis in range(3)], axis=1)
        np.testing.assert_allclose(places, (take["position"] * [1, -1, 1])[rows][:, [0, 2, 1]], atol=1e-7)
    assert scene.frame_end >= 160
    # Played back, Blender shows them: shape keys, head and bones at once.
    scene.frame_set(101 + 7)
    assert head.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(
        float(known.arkit(7)[names.index("jawOpen")]), abs=1e-6
    )
    np.testing.assert_allclose(np.array(head.matrix_world.to_3x3()), turn_of(7), atol=1e-5)
    rig = settings().armature
    rest = np.array(rig.data.bones["spine.006"].matrix_local.to_3x3())
    np.testing.assert_allclose(np.array(rig.pose.bones["spine.006"].matrix.to_3x3()) @ rest.T, turn_of(7), atol=2e-5)
    model = live().load_head("")
    basis = np.zeros(3 * len(head.data.vertices), np.float32)
    head.data.shape_keys.key_blocks[0].data.foreach_get("co", basis)
    np.testing.assert_allclose(basis.reshape(-1, 3), model.shapes(known.identity(model.identity_count))[0], atol=1e-6)


def test_whole_frames_are_interpolated_at_the_scenes_rate(known_take: Path) -> None:
    bpy.ops.facestream.build_head()
    settings().whole_frames = True
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 25, 1.0
    bpy.ops.facestream.import_take(filepath=str(known_take), take_rate=False)
    keys = keys_of(curves(settings().face.data.shape_keys)['key_blocks["jawOpen"].value', 0])
    assert (keys[:, 0] == np.arange(1, len(keys) + 1)).all()
    assert len(keys) == 1 + int(59 / float(known.RATE) * 25)
    jaw = [float(known.arkit(index)[17]) for index in range(20)]
    at = (keys[:15, 0] - 1) / 25 * float(known.RATE)
    np.testing.assert_allclose(keys[:15, 1], np.interp(at, np.arange(20), jaw), atol=1e-5)


def test_unusable_files_and_settings_are_one_line(tmp_path: Path, known_take: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing to drive"):
        bpy.ops.facestream.import_take(filepath=str(known_take))
    bpy.ops.facestream.build_head()
    (tmp_path / "bad.npz").write_text("no")
    with pytest.raises(RuntimeError, match="cannot be read as a take"):
        bpy.ops.facestream.import_take(filepath=str(tmp_path / "bad.npz"))
    settings().endpoint = "nonsense"
    with pytest.raises(RuntimeError, match="expected one like tcp"):
        bpy.ops.facestream.connect()
    settings().head_file = str(tmp_path / "missing.npz")
    with pytest.raises(RuntimeError, match="no face model"):
        bpy.ops.facestream.build_head()
    assert live().session() is None


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


def test_disabling_leaves_nothing_behind(stage: Callable[..., Stage]) -> None:
    bpy.ops.facestream.build_head()
    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    timer, peer = live()._tick, session.feed._peer
    assert peer._socket is not None
    for _ in range(3):
        bpy.ops.preferences.addon_disable(module=MODULE)
        assert not bpy.app.timers.is_registered(timer)
        assert peer._socket is None
        assert not hasattr(bpy.types.Scene, "facestream") and not hasattr(bpy.types, "FACESTREAM_PT_stream")
        assert timer() is None
        bpy.ops.preferences.addon_enable(module=MODULE)
        assert hasattr(bpy.types.Scene, "facestream")


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


def test_panels_ask_only_for_what_there_is(stage: Callable[..., Stage]) -> None:
    """Panels cannot be drawn without a window; this layout checks each property, operator and icon by Blender's own tables."""
    said: list[str] = []

    class Layout:
        enabled = True

        def row(self) -> Layout:
            return self

        column = box = row

        def label(self, *, text: str, icon: str = "NONE") -> None:
            said.append(text)
            self.check(icon)

        def prop(self, data: Any, name: str, *, text: str = "") -> None:
            assert name in data.bl_rna.properties

        def prop_search(self, data: Any, name: str, collection: Any, kind: str) -> None:
            assert name in data.bl_rna.properties and kind in collection.bl_rna.properties

        def operator(self, name: str, *, icon: str = "NONE", text: str = "") -> None:
            module, _, verb = name.partition(".")
            assert getattr(getattr(bpy.ops, module), verb).get_rna_type()
            self.check(icon)

        def check(self, icon: str) -> None:
            assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items

    def draw() -> str:
        said.clear()
        panel = importlib.import_module(MODULE + ".panel")
        for each in panel._CLASSES:
            each.draw(type("Panel", (), {"layout": Layout()})(), bpy.context)
        return "\n".join(said)

    draw()
    settings().armature = add_armature()
    bpy.ops.facestream.build_head()
    session = connect(stage())
    until(lambda: session.feed.latest is not None, tick)
    bpy.ops.facestream.record()
    tick()
    text = draw()
    assert "52 of 52 expressions found" in text and "Faces: 1" in text and "Face model: builtin" in text
    assert "fps" in text and "ms late" in text


def test_fbx_holds_the_animation_of_the_take(known_take: Path, tmp_path: Path) -> None:
    import subprocess

    out = tmp_path / "take.fbx"
    script = ROOT / "tools" / "blender" / "take_to_fbx.py"
    done = subprocess.run([sys.executable, str(script), str(known_take), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 30, 1.001
    bpy.ops.import_scene.fbx(filepath=str(out))
    head = next(each for each in bpy.context.scene.objects if each.type == "MESH")
    keys = head.data.shape_keys
    assert len(keys.key_blocks) == 53
    first = min(curve.keyframe_points[0].co[0] for curve in curves(keys).values())
    for index in (0, 7, 40, 59):
        bpy.context.scene.frame_set(round(first) + index)
        got = [keys.key_blocks[name].value for name in importlib.import_module(MODULE + ".arkit").ARKIT_NAMES]
        np.testing.assert_allclose(got, known.arkit(index), atol=2e-3)
        np.testing.assert_allclose(np.array(head.matrix_world.to_3x3().normalized()), turn_of(index), atol=2e-3)
    missing = subprocess.run([sys.executable, str(script), "none.npz", str(out)], capture_output=True, text=True)
    assert missing.returncode == 2 and "Traceback" not in missing.stderr and "none.npz" in missing.stderr
