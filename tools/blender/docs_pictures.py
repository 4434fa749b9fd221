"""The pictures of docs/blender.md: frames of a clip, and beside them what Blender renders from its take.

    python -m tools.blender.docs_pictures --blender .venv-blender/bin/python

Tracks the sample clip, has Blender's Python import the take with the add-on's own code and render it with Cycles through the
matching camera, and puts both side by side. It takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIP = "WolfgangLanger_Pexels.mp4"
FRAMES = (40, 150, 290, 320, 430)
HEIGHT_PX = 280
SAMPLES = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, default=ROOT / ".venv-blender/bin/python", help="a Python with bpy")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/images/blender_head.jpg")
    parser.add_argument("--frames", type=int, nargs="+", default=list(FRAMES), help="frames of the clip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        from tracker.samples import sample

        clip, take = sample(CLIP), work / "take.npz"
        subprocess.run([sys.executable, "-m", "tracker", "process", str(clip), "-o", str(take), "--quiet"], check=True)
        order = json.dumps({"take": str(take), "folder": str(work), "frames": arguments.frames})
        subprocess.run([str(arguments.blender), __file__, "--render", order], check=True, stdout=subprocess.DEVNULL)
        _compose(clip, work, arguments.frames, arguments.output)
    print(f"{arguments.output} ({arguments.output.stat().st_size / 1000:.0f} kB)")
    return 0


def _compose(clip: Path, work: Path, frames: list[int], output: Path) -> None:
    import av
    import cv2
    import numpy as np

    with av.open(str(clip)) as container:
        pictures = {
            index: frame.to_ndarray(format="bgr24")
            for index, frame in enumerate(container.decode(video=0))
            if index in frames
        }
    with np.load(work / "take.npz") as take:
        boxes = {index: take["bbox"][index] for index in frames}
    columns = []
    for index in frames:
        rendered, video = cv2.imread(str(work / f"{index}.png")), pictures[index]
        left, right = _crop(video.shape[1], video.shape[0], float(boxes[index][0] + boxes[index][2] / 2))
        pair = np.vstack([video[:, left:right], cv2.resize(rendered, video.shape[1::-1])[:, left:right]])
        scale = 2 * HEIGHT_PX / pair.shape[0]
        columns.append(cv2.resize(pair, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output), np.hstack(columns), [cv2.IMWRITE_JPEG_QUALITY, 88])


def _crop(width: int, height: int, centre: float) -> tuple[int, int]:
    """The columns around the face that make a picture of 3:4."""
    wide = height * 3 // 4
    left = min(max(round(centre - wide / 2), 0), width - wide)
    return left, left + wide


def render(order: dict[str, object]) -> None:
    """In Blender's Python: one PNG for each frame of the take that is asked for."""
    from types import SimpleNamespace

    import bpy
    import numpy as np

    sys.path.insert(0, str(ROOT / "tools" / "blender"))
    from facestream_tracker.building import build_head, place_camera
    from facestream_tracker.driving import channels
    from facestream_tracker.head_model import read_head
    from facestream_tracker.keyframes import set_scene_rate, write_clip
    from facestream_tracker.samples import read_take

    path = Path(str(order["take"]))
    clip = read_take(path)
    model = read_head(ROOT / "tracker" / "face_model" / "data" / "builtin_head.npz")
    bpy.ops.wm.read_homefile(app_template="", use_empty=True)
    scene = bpy.context.scene
    head = build_head(model, scene, clip.identity)
    settings = SimpleNamespace(
        face=head, head_object=head, head_motion="FULL", armature=None, expression_strength=1.0, head_strength=1.0
    )
    set_scene_rate(scene, clip.rate)
    write_clip(clip, channels(settings)[0], scene, 0)
    with np.load(path) as take:
        camera, (width, height) = take["K"][0], take["frame_size"][0]
    place_camera((int(width), int(height)), float(camera[0, 0]), (camera[0, 2], camera[1, 2]), scene, "Camera")
    world = bpy.data.worlds.new("World")
    scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.30, 0.32, 0.35, 1)
    for name, place, power in (("Key", (-0.6, -0.2, 0.6), 12.0), ("Fill", (0.8, 0.0, 0.2), 4.0)):
        light = bpy.data.lights.new(name, "AREA")
        light.energy, light.size = power, 0.6
        lamp = bpy.data.objects.new(name, light)
        lamp.location = place
        scene.collection.objects.link(lamp)
        track = lamp.constraints.new("TRACK_TO")
        track.target, track.track_axis, track.up_axis = head, "TRACK_NEGATIVE_Z", "UP_Y"
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", SAMPLES, True
    scene.view_settings.view_transform = "Standard"
    for index in order["frames"]:  # type: ignore[attr-defined]
        scene.frame_set(index)
        scene.render.filepath = str(Path(str(order["folder"])) / f"{index}.png")
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--render"]:
        render(json.loads(sys.argv[2]))
        sys.exit(0)
    sys.exit(main())
