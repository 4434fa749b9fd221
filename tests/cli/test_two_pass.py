"""``process --two-pass``, ``--albedo``, and skin in enrolments: what is known from the first frame on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.rendering.test_render_verb import frames_of
from tracker.cli import main
from tracker.enrolment.file import read_enrolment, write_enrolment
from tracker.recording import Take, read_take, take_state
from tracker.rendering.video_writer import VideoWriter


def process(*arguments: str | Path) -> int:
    return main(["process", "--quiet", *map(str, arguments)])


def fails(capsys: pytest.CaptureFixture[str], verb: str, *arguments: str | Path) -> str:
    """Run a command, expect failure and one line of complaint; return it."""
    assert main([verb, *map(str, arguments), "--quiet"]) in (1, 2)
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines and not any("Traceback" in line for line in lines)
    return lines[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two-pass")


@pytest.fixture(scope="module")
def two_pass(samples, networks, folder: Path) -> Take:
    out = folder / "take.npz"
    arguments = ("--two-pass", "--appearance", "on", "--albedo", folder / "skin.png")
    assert process(samples("single_face.mp4"), "-o", out, *arguments) == 0
    return read_take(out)


@pytest.fixture(scope="module")
def enrolled(samples, networks, folder: Path) -> Path:
    path = folder / "me.npz"
    arguments = ["--albedo", str(folder / "me.png"), "--quiet", "--fov", "60"]
    assert main(["enroll", str(samples("single_face.mp4")), "-o", str(path), *arguments]) == 0
    return path


def test_shape_and_skin_are_the_same_from_the_first_frame_to_the_last(two_pass: Take) -> None:
    assert len(two_pass) == 72 and two_pass.complete
    assert two_pass["identity"].shape[0] == 1 and bool(two_pass["identity_frozen"][0])
    assert two_pass["albedo_version"].tolist() == [1]
    assert (two_pass["light_exposure"] > 0.0).all()
    assert two_pass["occlusion"][:10].max() < 0.15
    about = two_pass.meta["two_pass"]
    assert about["frames"] == 72 and about["views"] > 10 and 0.0 < about["confidence"] <= 1.0


def test_two_passes_give_the_same_again(samples, networks, two_pass: Take, tmp_path: Path) -> None:
    out = tmp_path / "again.npz"
    assert process(samples("single_face.mp4"), "-o", out, "--two-pass", "--appearance", "on") == 0
    again = read_take(out)
    for key, values in two_pass.arrays.items():
        if key not in ("meta_json", "t_unix_ns"):
            np.testing.assert_array_equal(again[key], values, err_msg=key)


def test_one_pass_afterwards_knows_nobody(samples, networks, tmp_path: Path) -> None:
    """Several clips: what was learned from one is not expected in the next."""
    out = tmp_path / "takes"
    clips = [_first_frames(samples(name), tmp_path, 36) for name in ("single_face.mp4", "no_face.mp4")]
    assert process(*clips, "-o", out, "--two-pass") == 1
    assert take_state(out / "first-single_face.npz") == "complete" and not (out / "first-no_face.npz").exists()


def test_the_albedo_is_a_texture_with_its_coverage(two_pass: Take, enrolled: Path, folder: Path) -> None:
    for name in ("skin", "me"):
        texture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        seen = cv2.imread(str(folder / f"{name}-coverage.png"), cv2.IMREAD_UNCHANGED)
        assert texture.shape == (1024, 1024, 3) and seen.shape == (1024, 1024)
        assert 0.01 < (seen > 128).mean() < 0.2
        blue, _, red = texture[seen > 200].mean(axis=0)
        assert red > blue + 20


def test_an_enrolment_holds_the_skin_and_tracking_begins_with_it(
    samples, networks, enrolled: Path, tmp_path: Path
) -> None:
    enrolment = read_enrolment(enrolled)
    assert enrolment.albedo is not None and enrolment.albedo.shape == (2000, 6)
    coverage = []
    for arguments in ((), ("--identity", enrolled)):
        out = tmp_path / f"{len(arguments)}.npz"
        folder = _first_frames(samples("single_face.mp4"), tmp_path, 4)
        assert process(folder, "-o", out, "--appearance", "on", "--force", *arguments) == 0
        coverage.append(float(read_take(out)["albedo_coverage"][0]))
    assert coverage[0] < 0.2 and coverage[1] > 0.5


def test_skin_that_does_not_belong_to_the_points_is_refused(
    samples, networks, enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.npz"
    write_enrolment(other, replace(read_enrolment(enrolled), albedo=np.full((7, 3), 0.5, np.float32)))
    clip = samples("single_face.mp4")
    line = fails(capsys, "process", clip, "-o", tmp_path / "t.npz", "--identity", other, "--appearance", "on")
    assert "other.npz" in line and "2000 points" in line and "enrol again" in line
    assert not (tmp_path / "t.npz").exists()


def test_options_that_do_not_go_together(
    samples, enrolled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = samples("single_face.mp4"), ("-o", tmp_path / "t.npz")
    assert "--identity" in fails(capsys, "process", clip, *out, "--two-pass", "--identity", enrolled)
    assert "--max-faces 2" in fails(capsys, "process", clip, *out, "--two-pass", "--max-faces", "2")
    assert "--max-faces 3" in fails(capsys, "process", clip, *out, "--albedo", "a.png", "--max-faces", "3")
    assert ".png" in fails(capsys, "process", clip, *out, "--albedo", "a.jpg")
    assert ".png" in fails(capsys, "enroll", clip, "-o", tmp_path / "me.npz", "--albedo", "a.tif")
    line = fails(capsys, "process", clip, samples("no_face.mp4"), "-o", tmp_path, "--albedo", "a.png")
    assert "one input, got 2" in line


def test_clips_that_two_passes_are_not_for(
    samples, networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("-o", tmp_path / "t.npz", "--two-pass")
    line = fails(capsys, "process", samples("no_face.mp4"), *out)
    assert (
        "no_face.mp4 cannot be tracked in two passes: found a face in 0 frames" in line
        and "leave out --two-pass" in line
    )
    assert "is a live source" in fails(capsys, "process", "test", *out)
    cut = tmp_path / "cut.mp4"
    one, two = (frames_of(samples(name))[1] for name in ("single_face.mp4", "WolfgangLanger_Pexels.mp4"))
    with VideoWriter(cut, 640, 360) as writer:
        for index, image in enumerate([*one[:20], *two[:8]]):
            writer.write(image, Fraction(index, 30))
    assert "leave out --two-pass" in fails(capsys, "process", cut, *out)
    assert not (tmp_path / "t.npz").exists()


def test_no_texture_without_a_face(samples, networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skin = tmp_path / "skin.png"
    folder = _first_frames(samples("no_face.mp4"), tmp_path, 3)
    assert process(folder, "-o", tmp_path / "t.npz", "--albedo", skin) == 0
    assert "skin.png is not written" in capsys.readouterr().err and not skin.exists()


def test_ctrl_c_in_the_first_pass_leaves_no_take(samples, networks, tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    command = [
        sys.executable,
        "-m",
        "tracker",
        "process",
        str(samples("WolfgangLanger_Pexels.mp4")),
        "-o",
        str(out),
        "--two-pass",
    ]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert not out.exists()


def _first_frames(clip: Path, tmp_path: Path, count: int) -> Path:
    folder = tmp_path / f"first-{clip.stem}"
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(frames_of(clip)[1][:count]):
        cv2.imwrite(str(folder / f"{index:02d}.png"), image[..., ::-1])
    return folder
