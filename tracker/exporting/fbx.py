"""FBX, which only Blender writes freely: the take goes through glTF and Blender's own importer and exporter.

Blender is used where it is: what the environment variable BLENDER names (its program, or a Python that has ``bpy``), the package
``bpy`` in this Python, or the program ``blender``. Each runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from tracker.errors import RecordingError
from tracker.exporting.gltf import write_glb
from tracker.exporting.performance import Performance
from tracker.face_model.model import FaceModel

_SCRIPT: Final = """
import sys
import bpy
source, target, rate, base = sys.argv[-4:]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps = int(rate)
bpy.ops.import_scene.gltf(filepath=source)
for thing in list(bpy.data.objects):  # The importer's drawings of bones.
    if thing.type == "EMPTY" or (thing.type == "MESH" and thing.data.shape_keys is None):
        bpy.data.objects.remove(thing)
ends = [action.frame_range for action in bpy.data.actions]
scene.frame_start = int(min(begin for begin, _ in ends))
scene.frame_end = int(max(end for _, end in ends) + 0.5)
scene.render.fps_base = float(base)
bpy.ops.export_scene.fbx(
    filepath=target, object_types={"ARMATURE", "CAMERA", "MESH"}, add_leaf_bones=False, bake_anim=True,
    bake_anim_use_all_actions=False, bake_anim_use_nla_strips=False, bake_anim_simplify_factor=0.0,
)
"""


def check_package() -> None:
    """Raise RecordingError where Blender is not."""
    blender_command()


def write_fbx(performance: Performance, model: FaceModel, path: Path) -> list[str]:
    """Write an FBX file; returns what else people should know.

    Raises:
        RecordingError: Blender is not here, or does not manage.
        OSError: there is no room.
    """
    steady = performance.steady()
    base = -(-steady.rate.numerator // steady.rate.denominator)
    with tempfile.TemporaryDirectory() as folder:
        script, glb = Path(folder) / "to_fbx.py", Path(folder) / f"{performance.take.path.stem}.glb"
        script.write_text(_SCRIPT, encoding="utf-8")
        # Blender's importer knows whole rates only: the frames come at one, and the exporter is told the true one.
        whole = tuple(Fraction(row, base) for row in range(len(steady)))
        write_glb(replace(steady, times_s=whole, rate=Fraction(base)), model, glb)
        arguments = [str(glb), str(path.absolute()), str(base), repr(float(base / steady.rate))]
        done = subprocess.run(
            [*blender_command(), str(script), "--", *arguments], capture_output=True, text=True, check=False
        )
    if not path.exists():
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise RecordingError(f"Blender did not write the .fbx (it ended with {done.returncode}: {said})")
    return [] if steady is performance else [f"resampled to a steady {float(steady.rate):.6g} frames a second"]


def blender_command() -> list[str]:
    """How to run a Python script in Blender: the script's name and ``--`` and its arguments follow.

    Raises:
        RecordingError: Blender is not here.
    """
    named = os.environ.get("BLENDER")
    if named is not None and shutil.which(named) is None:
        raise RecordingError(f"the environment variable BLENDER names {named}, which is no program that can be run")
    if named is not None and Path(named).name.startswith("python"):
        return [named]
    if named is None and importlib.util.find_spec("bpy") is not None:
        return [sys.executable]
    blender = named or shutil.which("blender")
    if blender is not None:
        return [blender, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    raise RecordingError(
        ".fbx is written by Blender: install it (or `pip install bpy`) and set BLENDER to its program, or convert to .glb "
        "and use Blender's File > Import > glTF, then File > Export > FBX"
    )
