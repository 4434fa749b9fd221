"""``tracker render``: what it writes, and one clear line for everything a user can get wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.rendering.conftest import FRAMES, SIZE, WITHOUT_FACE, Scene, write_take
from tracker.cli import main
from tracker.face_model import FaceModel


def frames_of(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [float(frame.pts * frame.time_base) for frame in frames], [f.to_ndarray(format="rgb24") for f in frames]


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """Run ``tracker render``, expect this exit code and one line of complaint; return it."""
    assert main(["render", *map(str, arguments)]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines
    assert lines[-1].startswith("tracker")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_overlay_has_every_frame_at_its_time(clip: Path, take: Path, scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "overlay.mp4"
    assert main(["render", str(take), "--video", str(clip), "-o", str(out), "--quiet"]) == 0
    times, images = frames_of(out)
    first_s = scene.results[0].pts_s
    np.testing.assert_allclose(times, [float(result.pts_s - first_s) for result in scene.results], atol=0.001)
    # Small videos are enlarged by a whole number until they have 540 rows.
    assert images[0].shape == (SIZE[1] * 3, SIZE[0] * 3, 3)
    for index, image in enumerate(images):
        plain = cv2.resize(scene.image(index), (SIZE[0] * 3, SIZE[1] * 3), interpolation=cv2.INTER_CUBIC)
        above_footer = np.abs(image.astype(int) - plain)[:-80].max(axis=2) > 60
        assert (above_footer.mean() > 0.002) == (index != WITHOUT_FACE)


def test_part_of_a_take_in_a_size(clip: Path, take: Path, scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "part.mkv"
    arguments = ["--start", "0.15", "--end", "0.6", "--size", "200x200", "--what", "wire", "--quiet"]
    assert main(["render", str(take), "--video", str(clip), "-o", str(out), *arguments]) == 0
    times, images = frames_of(out)
    inside = [float(result.pts_s) for result in scene.results if 0.15 <= result.pts_s < 0.6]
    np.testing.assert_allclose(times, np.array(inside) - inside[0], atol=0.0011)
    assert images[0].shape == (150, 200, 3)


def test_picture_of_a_chosen_frame_and_of_the_most_telling_one(clip: Path, take: Path, tmp_path: Path) -> None:
    chosen, best = tmp_path / "chosen.png", tmp_path / "best.png"
    assert main(["render", str(take), "--video", str(clip), "--picture", str(chosen), "--frame", "2"]) == 0
    assert main(["render", str(take), "--video", str(clip), "--picture", str(best)]) == 0
    one, other = cv2.imread(str(chosen)), cv2.imread(str(best))
    assert one.shape == other.shape
    assert one.shape[1] > 2.5 * one.shape[0]


def test_ctrl_c_leaves_a_file_that_plays(
    clip: Path, take: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracker.rendering.overlay import Overlay

    draw, calls = Overlay.draw, []

    def interrupted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(Overlay, "draw", interrupted)
    out = tmp_path / "cut.mp4"
    assert main(["render", str(take), "--video", str(clip), "-o", str(out), "--quiet"]) == 130
    assert f"holds the first 3 of {FRAMES} frames" in capsys.readouterr().err
    assert len(frames_of(out)[0]) == 3


def test_frames_of_a_folder_of_images(take: Path, scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(scene.frames):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame.image[..., ::-1])
    out = tmp_path / "overlay.mp4"
    assert main(["render", str(take), "--video", str(folder), "-o", str(out), "--quiet"]) == 0
    assert len(frames_of(out)[0]) == FRAMES


def test_a_video_instead_of_a_take_is_told_what_to_do(
    clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, 2, clip, "--video", clip, "-o", tmp_path / "o.mp4")
    assert "is a video" in line
    assert f"tracker process {clip} -o take.npz" in line
    assert "is a take" in fails(capsys, 2, take, "--video", take, "-o", tmp_path / "o.mp4")


def test_missing_and_damaged_inputs(clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o.mp4"
    assert "missing.mp4" in fails(capsys, 1, take, "--video", tmp_path / "missing.mp4", "-o", out)
    assert "missing.npz" in fails(capsys, 1, tmp_path / "missing.npz", "--video", clip, "-o", out)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(take.read_bytes()[:2000])
    assert "broken.npz" in fails(capsys, 1, broken, "--video", clip, "-o", out)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert "text.mp4" in fails(capsys, 1, take, "--video", text, "-o", out)
    assert not out.exists()


def test_the_wrong_video_is_noticed(
    clip: Path, take: Path, scene: Scene, head: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o.mp4"
    short = tmp_path / "short.npz"
    write_take(short, head, scene.results[:-2])
    line = fails(capsys, 1, short, "--video", clip, "-o", out)
    assert f"has {FRAMES - 2} frames" in line
    assert f"has {FRAMES}" in line

    other = tmp_path / "other.npz"
    camera = replace(scene.results[0].camera, width=400)
    write_take(other, head, [replace(result, camera=camera) for result in scene.results])
    assert "400x240 frames" in fails(capsys, 1, other, "--video", clip, "-o", out)

    folder = tmp_path / "few"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), scene.image(index))
    assert "give the video that the take was made from" in fails(capsys, 1, take, "--video", folder, "-o", out)


def test_a_take_without_faces_has_nothing_to_draw(
    clip: Path, scene: Scene, head: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = tmp_path / "nobody.npz"
    write_take(nobody, head, [replace(result, faces=()) for result in scene.results])
    for output in (("-o", tmp_path / "o.mp4"), ("--picture", tmp_path / "p.png")):
        assert "has no face in any of" in fails(capsys, 1, nobody, "--video", clip, *output)
    empty = tmp_path / "empty.npz"
    write_take(empty, head, [])
    assert "is empty" in fails(capsys, 1, empty, "--video", clip, "-o", tmp_path / "o.mp4")


def test_a_frame_without_a_face_names_the_nearest_with_one(
    clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = ("--picture", tmp_path / "p.png", "--frame")
    line = fails(capsys, 1, take, "--video", clip, *picture, WITHOUT_FACE)
    assert f"--frame {WITHOUT_FACE - 1}" in line
    assert f"has frames 0..{FRAMES - 1}" in fails(capsys, 2, take, "--video", clip, *picture, FRAMES)


def test_wrong_usage(clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = (take, "--video", clip)
    out = ("-o", tmp_path / "o.mp4")
    assert "give -o overlay.mp4" in fails(capsys, 2, *base)
    assert "expected a name ending in .mp4" in fails(capsys, 2, *base, "-o", tmp_path / "o.gif")
    assert ".png" in fails(capsys, 2, *base, "--picture", tmp_path / "p.gif")
    assert "--picture" in fails(capsys, 2, *base, *out, "--frame", "3")
    assert "--start < --end" in fails(capsys, 2, *base, *out, "--start", "2", "--end", "1")
    assert "has no frame from --start" in fails(capsys, 2, *base, *out, "--start", "1000")
    assert "WIDTHxHEIGHT" in fails(capsys, 2, *base, *out, "--size", "huge")
    assert "--what 'hair'" in fails(capsys, 2, *base, *out, "--what", "hair")
    assert "would replace its own input" in fails(capsys, 2, *base, "-o", clip)
    assert "is live" in fails(capsys, 2, take, "--video", "test", *out)


def test_unwritable_outputs(clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert "cannot write" in fails(capsys, 1, take, "--video", clip, "-o", blocked / "o.mp4")
    assert "cannot write" in fails(capsys, 1, take, "--video", clip, "--picture", blocked / "p.png")


def test_another_face_model_is_refused(
    clip: Path, take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(take) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(str(arrays["meta_json"]))
    meta["model"]["name"] = "other"
    meta["model"]["expression_names"][0] = "somethingElse"
    other = tmp_path / "other.npz"
    np.savez(other, **{**arrays, "meta_json": np.array(json.dumps(meta))})
    line = fails(capsys, 1, other, "--video", clip, "-o", tmp_path / "o.mp4")
    assert "face model 'other'" in line
    assert "--face-model" in line
