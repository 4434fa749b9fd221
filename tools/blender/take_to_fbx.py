"""A take of the tracker as FBX: the head with its shape keys and their animation. Runs where Blender is a Python module.

    pip install bpy==4.5.*                          # in a Python of the version that this Blender was built for (3.11)
    python tools/blender/take_to_fbx.py take.npz take.fbx
    python tools/blender/take_to_fbx.py take.npz take.fbx --fps 60 --face 1 --position

or inside an installed Blender:

    blender --background --python tools/blender/take_to_fbx.py -- take.npz take.fbx

FBX samples animation at whole frames: by default those of the take's own rate.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "blender"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("take", type=Path, help="a take (.npz)")
    parser.add_argument("output", type=Path, help="the .fbx to write")
    parser.add_argument("--fps", type=Fraction, help="such as 60 or 30000/1001 (default: the take's own rate, else 30)")
    parser.add_argument("--face", type=int, default=0, help="which of the take's faces, from 0 (default 0)")
    parser.add_argument(
        "--position", action="store_true", help="also the head's place before the camera, not its turn alone"
    )
    parser.add_argument("--head", type=Path, help="a face model with ARKit's expressions (default: the built-in head)")
    # Blender's own arguments end at a lone "--".
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    arguments = parser.parse_args(given)
    try:
        import bpy  # noqa: F401
    except ImportError:
        return _fail("needs Blender as a Python module: pip install bpy, in the Python version of that Blender")
    from facestream_tracker import properties
    from facestream_tracker.head_model import HeadError
    from facestream_tracker.samples import TakeError

    properties.register()
    try:
        frames = export(arguments)
    except (TakeError, HeadError, OSError) as error:
        return _fail(str(error))
    print(f"{arguments.output}: {frames} frames")
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write the FBX; the number of frames that it covers."""
    import bpy
    from facestream_tracker.building import build_head
    from facestream_tracker.driving import channels
    from facestream_tracker.head_model import read_head
    from facestream_tracker.keyframes import frame_range, set_scene_rate, write_clip
    from facestream_tracker.samples import read_take

    clip = read_take(arguments.take, arguments.face)
    model = read_head(arguments.head or ROOT / "tracker" / "face_model" / "data" / "builtin_head.npz")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_homefile(app_template="", use_empty=True)
    scene = bpy.context.scene
    same_person = clip.identity is not None and clip.model == model.name and len(clip.identity) == model.identity_count
    head = build_head(model, scene, clip.identity if same_person else None)
    settings = SimpleNamespace(
        face=head,
        head_object=head,
        head_motion="FULL" if arguments.position else "ROTATION",
        armature=None,
        expression_strength=1.0,
        head_strength=1.0,
    )
    set_scene_rate(scene, arguments.fps or clip.rate or Fraction(30))
    driven, _ = channels(settings)
    write_clip(clip, driven, scene, 0)
    scene.frame_start, scene.frame_end = frame_range(clip, scene, 0)
    # The exporter prints how long each of its steps took.
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        bpy.ops.export_scene.fbx(
            filepath=str(arguments.output),
            object_types={"MESH"},
            use_mesh_modifiers=False,
            bake_anim=True,
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
            bake_anim_simplify_factor=0.0,
        )
    return int(scene.frame_end - scene.frame_start) + 1


def _fail(message: str) -> int:
    print(f"take_to_fbx: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Blender 4.2 as a module crashes while Python takes itself down, when everything has long been written.
    os._exit(code)
