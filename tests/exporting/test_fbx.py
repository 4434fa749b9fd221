"""FBX, written and read back by Blender where there is one (``make test-blender`` makes one; BLENDER names it)."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import builtin, clip, facing_vertices, record
from tracker.cli import main
from tracker.errors import RecordingError
from tracker.exporting import fbx

READ = """
    import json, sys
    import bpy
    source, target = sys.argv[-2:]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=source, anim_offset=0.0)
    mesh = next(thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys)
    found = {"objects": sorted(thing.type for thing in bpy.data.objects), "frames": {}}
    for frame in (0, 7, 11):
        # Blender's importer takes 29.97 frames a second for 30: the file's seconds are right, its frame numbers are not.
        at = frame * 1.001
        bpy.context.scene.frame_set(int(at), subframe=at % 1.0)
        shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        points = [list(shown.matrix_world @ vertex.co) for vertex in shown.to_mesh().vertices]
        keys = {key.name: key.value for key in mesh.data.shape_keys.key_blocks}
        found["frames"][frame] = {"points": points, "keys": keys}
    with open(target, "w") as file:
        json.dump(found, file)
"""


@pytest.fixture(scope="module")
def blender() -> list[str]:
    try:
        return fbx.blender_command()
    except RecordingError as error:
        pytest.skip(str(error))


def test_blender_reads_back_what_the_tracker_saw(tmp_path: Path, blender: list[str]) -> None:
    model = builtin()
    frames = clip(model, 12)
    record(tmp_path / "take.npz", model, frames)
    assert main(["convert", str(tmp_path / "take.npz"), str(tmp_path / "take.fbx"), "--quiet"]) == 0
    (tmp_path / "read.py").write_text(textwrap.dedent(READ))
    command = [*blender, str(tmp_path / "read.py"), "--", str(tmp_path / "take.fbx"), str(tmp_path / "found.json")]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["objects"] == ["ARMATURE", "CAMERA", "MESH"]
    for frame, shown in found["frames"].items():
        face = frames[int(frame)].faces[0]
        # Blender's z is up; vertices keep their order but for those doubled along seams.
        wanted = facing_vertices(model, face)[:, [0, 2, 1]] * (1, -1, 1)
        np.testing.assert_allclose(np.array(shown["points"])[: len(wanted)], wanted, atol=2e-5)
        weights = dict(zip(model.published_names, face.params.expression.tolist(), strict=True))
        for name, weight in weights.items():
            assert shown["keys"][name] == pytest.approx(weight, abs=1e-4)


def test_a_wrong_name_for_blender_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "BLENDER", "/nowhere/blender")
    with pytest.raises(RecordingError, match="BLENDER names /nowhere/blender"):
        fbx.blender_command()
