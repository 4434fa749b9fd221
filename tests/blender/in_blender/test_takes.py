"""Takes imported into Blender, and what Blender exports of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.blender import known
from tests.blender.conftest import ROOT
from tests.blender.in_blender.session import (
    MODULE,
    add_armature,
    bpy,
    curves,
    keys_of,
    live,
    settings,
    turn_of,
)


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
