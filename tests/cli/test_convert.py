"""``tracker convert``."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.exporting.takes import builtin, clip, record
from tests.toy_model import toy_model
from tracker.cli import main
from tracker.exporting import FORMATS
from tracker.recording import read_take, take_state

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("take") / "take.npz"
    record(path, builtin(), clip(builtin(), 12, away=range(5, 7), people=2))
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("entry", [entry for entry in FORMATS if entry.name != "fbx"], ids=lambda entry: entry.name)
def test_every_format_by_name_and_by_suffix(
    tmp_path: Path, take: Path, entry: object, capsys: pytest.CaptureFixture[str]
) -> None:
    package = {"parquet": "pyarrow", "mcap": "mcap", "usd": "pxr", "usda": "pxr", "usdc": "pxr"}.get(entry.name)
    if package:
        pytest.importorskip(package, reason="comes with the extra 'export'")
    output = tmp_path / f"out{entry.suffix}"
    assert main(["convert", str(take), str(output)]) == 0
    said = capsys.readouterr().err
    assert f"{output}: 12 frames" in said and (("one of 2 people" in said) == (entry.name in ("livelink", "bvh")))
    beside = [f"out{entry.suffix}.json"] if entry.name in ("livelink", "csv") else []
    assert files(tmp_path) == sorted([output.name, *beside])
    if entry.is_take:
        assert take_state(output) == "complete" and len(read_take(output)) == 12
    assert main(["convert", str(take), "--to", entry.name, "-o", str(tmp_path / "folder")]) == 0
    assert f"take{entry.suffix}" in files(tmp_path / "folder")
    assert main(["convert", str(take), str(output)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["convert", str(take), str(output), "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_several_takes_go_to_a_folder_and_a_bad_one_does_not_stop_the_others(
    tmp_path: Path, take: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK no take")
    other = tmp_path / "other.jsonl"
    assert main(["convert", str(take), str(other), "--quiet"]) == 0
    code = main(
        ["convert", str(take), str(tmp_path / "bad.npz"), str(other), "--to", "glb", "-o", str(tmp_path / "out")]
    )
    assert code == 1 and files(tmp_path / "out") == ["other.glb", "take.glb"]
    said = capsys.readouterr().err
    assert "bad.npz" in said and "1 of 3 takes failed" in said


@pytest.mark.parametrize("name", ["take.npz", "take.jsonl", "take.csv", "take.parquet", "take.mcap"])
def test_what_a_crash_has_left_becomes_the_take_it_was_to_be(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip({".parquet": "pyarrow", ".mcap": "mcap"}.get(Path(name).suffix, "numpy"))
    record_endlessly = """
        import sys, time
        from tests.exporting.takes import clip
        from tests.toy_model import toy_model
        from tracker.recording import open_writer
        with open_writer(sys.argv[1], model=toy_model()) as writer:
            for frame in clip(toy_model(), 8):
                writer.write(frame)
            print("ready", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(record_endlessly), str(tmp_path / name)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.kill()
    process.communicate()
    assert not (tmp_path / name).exists()
    assert main(["convert", str(tmp_path / f"{name}.part")]) == 0
    assert "8 frames, incomplete" in capsys.readouterr().err
    found = read_take(tmp_path / name)
    assert len(found) == 8 and not found.complete and found.meta["model"]["name"] == "toy"
    # And what was left is still there.
    assert (tmp_path / f"{name}.part").exists()
    assert main(["convert", str(tmp_path / f"{name}.part"), str(tmp_path / "out.livelink.csv")]) == 0


def test_part_of_a_take_and_one_face_of_it(tmp_path: Path, take: Path) -> None:
    cut = tmp_path / "cut.npz"
    assert main(["convert", str(take), str(cut), "--start", "0.1", "--end", "0.3", "--face", "2", "--quiet"]) == 0
    whole, part = read_take(take), read_take(cut)
    assert len(part) == 6 and not part.complete and part.slot_count == 1
    np.testing.assert_array_equal(part["frame_index"], whole["frame_index"][3:9])
    seen = part["face_id"] == 2
    assert seen.tolist() == [True, True, False, False, True, True]
    np.testing.assert_array_equal(part["arkit"][seen], whole["slot1_arkit"][3:9][seen])


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["TAKE"], 2, "say what"),
    (["TAKE", "out.xyz"], 2, "expected a name ending in .npz, .jsonl"),
    (["TAKE", "-o", "out.glb", "--to", "obj"], 2, "unknown format 'obj'"),
    (["TAKE", "TAKE", "-o", "out.glb"], 2, "2 takes cannot go to one file"),
    (["TAKE", "-o", "folder"], 2, "say with --to"),
    (["TAKE", "TAKE", "--to", "bvh", "-o", "folder"], 2, "two takes would become"),
    (["TAKE", "TAKE"], 2, "would replace its own input"),
    (["TAKE", "--to", "npz"], 2, "would replace its own input"),
    (["missing.npz", "out.glb"], 1, "cannot read take"),
    (["TAKE", "out.npz", "--fps", "24"], 2, "--fps is for animation formats"),
    (["TAKE", "out.bvh", "--fps", "0"], 2, "frames a second"),
    (["TAKE", "out.bvh", "--fps", "fast"], 2, "frames a second"),
    (["TAKE", "out.bvh", "--start", "3", "--end", "2"], 2, "0 <= --start < --end"),
    (["TAKE", "out.bvh", "--start", "300"], 2, "no frame from --start"),
    (["TAKE", "out.bvh", "--face", "9"], 2, "its face ids are 1, 2"),
    (["TAKE", "out.npz", "--face", "9"], 2, "its face ids are 1, 2"),
    (["TAKE", "out.glb", "--face-model", "nobody"], 1, "nobody"),
    (["TAKE", "/proc/nowhere/out.glb"], 1, "cannot"),
    (["TAKE", "out.bvh", "--sound", "missing.mp4"], 1, "no such file"),
])  # fmt: skip
def test_mistakes_end_in_one_line_and_leave_nothing(
    tmp_path: Path, take: Path, arguments: list[str], code: int, says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = take.read_bytes()
    assert main(["convert", *[str(take) if word == "TAKE" else word for word in arguments], "--quiet"]) == code
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and "Traceback" not in said
    assert [name for name in files(tmp_path) if name != "out.bvh"] == [] and take.read_bytes() == before


def test_a_take_of_another_model_needs_that_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "toy.npz", toy_model(), clip(toy_model(), 3))
    assert main(["convert", str(tmp_path / "toy.npz"), str(tmp_path / "out.glb")]) == 1
    assert "--face-model" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "toy.npz"), str(tmp_path / "out.glb"), "--face-model", "builtin"]) == 1
    assert "made with the face model 'toy'" in capsys.readouterr().err
    # What needs no mesh needs no model.
    assert main(["convert", str(tmp_path / "toy.npz"), str(tmp_path / "out.livelink.csv"), "--quiet"]) == 0
    assert files(tmp_path) == ["out.livelink.csv", "out.livelink.csv.json", "toy.npz"]


@pytest.mark.parametrize(("name", "module"), [("out.usda", "pxr"), ("out.mcap", "mcap"), ("out.parquet", "pyarrow")])
def test_a_missing_package_is_one_line(
    tmp_path: Path,
    take: Path,
    name: str,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = importlib.import_module

    def without(wanted: str, package: str | None = None) -> object:
        if wanted.partition(".")[0] == module:
            raise ImportError(wanted)
        return found(wanted, package)

    monkeypatch.setattr(importlib, "import_module", without)
    assert main(["convert", str(take), str(tmp_path / name), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "pip install 'facestream-tracker[" in said and said.count("\n") == 1 and files(tmp_path) == []


def test_fbx_without_blender_says_what_to_do(
    tmp_path: Path, take: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BLENDER", raising=False)
    monkeypatch.setattr("tracker.exporting.fbx.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("tracker.exporting.fbx.shutil.which", lambda name: None)
    assert main(["convert", str(take), str(tmp_path / "out.fbx"), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "Blender" in said and ".glb" in said and said.count("\n") == 1 and files(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("name", ["out.glb", "out.usdc", "out.npz", "out.csv", "out.jsonl", "out.mcap", "out.parquet"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, take: Path, name: str) -> None:
    package = {"out.usdc": "pxr", "out.mcap": "mcap", "out.parquet": "pyarrow"}.get(name)
    if package:
        pytest.importorskip(package, reason="comes with the extra 'export'")
    limited = """
        import resource, signal, sys
        from tracker.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
        sys.exit(main(["convert", sys.argv[1], sys.argv[2], "--force", "--quiet"]))
    """
    (tmp_path / name).write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(limited), str(take), str(tmp_path / name)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"cannot write {tmp_path / name}:" in done.stderr
    assert files(tmp_path) == [name] and (tmp_path / name).read_text() == "before"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["out.glb", "out.npz"])
def test_ctrl_c_leaves_what_was_there(tmp_path: Path, take: Path, name: str) -> None:
    slow = """
        import sys, time
        import tracker.exporting.rig as rig
        import tracker.recording.take as takes
        from tracker.cli import main
        def wait(*_, **__):
            print("ready", flush=True)
            time.sleep(60)
        rig.vertex_normals = wait
        takes.Take.frame = wait
        sys.exit(main(["convert", sys.argv[1], sys.argv[2], "--force", "--quiet"]))
    """
    (tmp_path / name).write_text("before")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(slow), str(take), str(tmp_path / name)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "is as it was before" in said and "Traceback" not in said
    assert files(tmp_path) == [name] and (tmp_path / name).read_text() == "before"


def test_not_a_number_in_a_take_does_not_get_into_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = clip(toy_model(), 4)
    face = frames[2].faces[0]
    broken = dataclasses.replace(face, arkit=np.full(52, np.nan, np.float32))
    frames[2] = dataclasses.replace(frames[2], faces=(broken,))
    record(tmp_path / "take.npz", toy_model(), frames)
    assert main(["convert", str(tmp_path / "take.npz"), str(tmp_path / "out.livelink.csv"), "--quiet"]) == 0
    text = (tmp_path / "out.livelink.csv").read_text()
    assert "nan" not in text and len(text.splitlines()) == 5
    assert json.loads((tmp_path / "out.livelink.csv.json").read_text())["not_seen"] == [[2, 2]]
