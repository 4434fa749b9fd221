"""``tracker process`` end to end: exact frame counts, several inputs, resuming, and everything that can be wrong."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest

from tools.structured_models.flame_model import flame_face_model
from tracker.cli import main
from tracker.face_model.writing import write_face_model
from tracker.publishing.decoding import decode_frame
from tracker.publishing.describe import describe_model
from tracker.publishing.schema import build_schema
from tracker.publishing.wire import encode_frame, pack
from tracker.recording import open_copy, read_take, take_state


@pytest.fixture
def clip(short_clip, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copy(short_clip, path)
    return path


@pytest.fixture
def empty_clip(short_empty_clip, tmp_path):
    path = tmp_path / "empty.mp4"
    shutil.copy(short_empty_clip, path)
    return path


def process(*arguments) -> int:
    return main(["process", "--quiet", *map(str, arguments)])


@pytest.fixture(scope="module")
def whole_clip(samples):
    """72 frames of one face."""
    return samples("single_face.mp4")


@pytest.fixture(scope="module")
def whole_take(whole_clip, networks, tmp_path_factory):
    """The take of the whole clip with everything that is off by default left off, but for landmarks."""
    path = tmp_path_factory.mktemp("whole") / "take.npz"
    assert process(whole_clip, "-o", path, "--with-landmarks") == 0
    return path


def test_a_take_has_as_many_rows_as_the_clip_has_frames(whole_take):
    assert len(read_take(whole_take)) == 72
    assert take_state(whole_take) == "complete"


def test_a_take_of_text_has_them_too_and_says_how_many_have_a_face(clip, networks, tmp_path, capsys):
    out = tmp_path / "take.jsonl"
    assert process(clip, "-o", out) == 0
    assert len(read_take(out)) == 20
    assert take_state(out) == "complete"
    assert "20 frames, 20 with a face" in capsys.readouterr().err


def test_npz_reads_with_numpy_alone(whole_take):
    with np.load(whole_take) as take:
        assert take["expr"].shape == (72, 52)
        assert take["rotation"].shape == take["translation"].shape == (72, 3)
        assert take["timestamps_ns"].shape == (72,)
        assert np.all(np.diff(take["timestamps_ns"]) > 0)
        assert take["tracked"].all()


def test_two_runs_give_the_same_take(clip, networks, tmp_path):
    for name in ("a.npz", "b.npz"):
        assert process(clip, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_several_inputs_go_to_a_folder_and_finished_ones_are_skipped(clip, empty_clip, networks, tmp_path, capsys):
    out = tmp_path / "takes"
    assert process(clip, empty_clip, "-o", out) == 0
    assert {path.name for path in out.iterdir()} == {"clip.npz", "empty.npz", "manifest.ndjson"}
    assert "no face was found in any frame" in capsys.readouterr().err
    stamp = (out / "clip.npz").stat().st_mtime_ns
    (out / "empty.npz").unlink()
    assert process(clip, empty_clip, "-o", out) == 0
    assert "1 of 2 already done" in capsys.readouterr().err
    assert (out / "clip.npz").stat().st_mtime_ns == stamp
    assert process(clip, "-o", out / "clip.npz", "--force") == 0
    assert (out / "clip.npz").stat().st_mtime_ns > stamp


def test_a_file_that_is_no_take_of_this_source_is_not_replaced(clip, empty_clip, networks, tmp_path, capsys):
    out = tmp_path / "take.npz"
    out.write_bytes(b"somebody's thesis")
    assert process(empty_clip, "-o", out) == 2
    assert "--force to replace it" in capsys.readouterr().err
    assert out.read_bytes() == b"somebody's thesis"
    assert process(empty_clip, "-o", out, "--force") == 0
    assert process(clip, "-o", out) == 2


def test_one_bad_input_does_not_stop_the_others(clip, networks, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    assert process(bad, clip, "-o", tmp_path / "takes") == 1
    assert (tmp_path / "takes" / "clip.npz").exists()
    err = capsys.readouterr().err
    assert "bad.mp4" in err and "1 of 2 inputs failed" in err and "Traceback" not in err


def test_a_truncated_file_gives_what_can_be_decoded(samples, networks, tmp_path):
    whole = samples("no_face.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    code = process(cut, "-o", tmp_path / "cut.npz")
    if code == 0:
        assert 0 < len(read_take(tmp_path / "cut.npz")) < 95
    else:
        assert code == 1 and not (tmp_path / "cut.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.mp4", "-o", "t.npz"], 1, "nowhere.mp4"),
        (["*.nothing", "-o", "t.npz"], 2, "nothing matches"),
        (["a.mp4", "b.mp4", "-o", "t.npz"], 1, "folder"),
        (["a.mp4", "-o", "t.fbx"], 1, ".npz"),
        (["webcam", "-o", "t.npz"], 1, "camera"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, code, words, networks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert process(*arguments) == code
    err = capsys.readouterr().err.strip()
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_said_in_one_line(clip, networks, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert process(clip, "-o", tmp_path / "file" / "take.npz") == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err and "take.npz" in err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_finished_takes_and_a_readable_unfinished_one(short_clip, samples, networks, tmp_path, number):
    first, long = tmp_path / "a_first.mp4", tmp_path / "b_long.mp4"
    shutil.copy(short_clip, first)
    shutil.copy(samples("WolfgangLanger_Pexels.mp4"), long)
    out = tmp_path / "takes"
    command = [sys.executable, "-m", "tracker", "process", "--quiet", str(first), str(long), "-o", str(out)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    growing = out / "b_long.npz.part"
    while not (growing.exists() and growing.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "1 of 2 finished" in err and "Traceback" not in err
    assert take_state(out / "a_first.npz") == "complete"
    assert take_state(out / "b_long.npz") == "partial"
    assert 0 < len(read_take(out / "b_long.npz")) < 472


def test_an_unfinished_take_is_made_whole_by_the_same_command(clip, short_empty_clip, networks, tmp_path, capsys):
    out = tmp_path / "takes"
    assert process(clip, short_empty_clip, "-o", out) == 0
    whole = (out / "clip.npz").read_bytes()
    take = read_take(out / "clip.npz")
    with open_copy(take, out / "clip.npz", overwrite=True) as writer:
        writer.write(take.frame(0))
        writer.close(complete=False)
    assert take_state(out / "clip.npz") == "partial"
    capsys.readouterr()
    assert process(clip, short_empty_clip, "-o", out) == 0
    assert "1 of 2 already done" in capsys.readouterr().err
    assert (out / "clip.npz").read_bytes() == whole


def test_a_model_with_expressions_of_its_own_from_video_to_stream(whole_clip, whole_take, networks, tmp_path, capsys):
    clip, model = whole_clip, flame_face_model()
    write_face_model(tmp_path / "flame.npz", model)
    assert process(clip, "-o", tmp_path / "flame_take.npz", "--face-model", tmp_path / "flame.npz") == 0
    with np.load(tmp_path / "flame_take.npz") as take, np.load(whole_take) as own:
        assert take["expr"].shape == (72, 100)
        assert take["shape"].shape == (300,)
        assert np.abs(take["jaw_pose"]).max() > 0.02
        assert np.abs(take["eyes_pose"]).max() > 0.01
        # The same face in the same words, whatever the model.
        jaw = list(take["arkit_names"]).index("jawOpen")
        assert np.corrcoef(take["arkit"][:, jaw], own["arkit"][:, jaw])[0, 1] > 0.9
        assert np.abs(take["arkit"] - own["arkit"]).mean() < 0.05
    picture = tmp_path / "picture.png"
    shown = ["render", "--quiet", str(tmp_path / "flame_take.npz"), "--video", str(clip), "--picture", str(picture)]
    assert main([*shown, "--face-model", str(tmp_path / "flame.npz")]) == 0
    assert picture.exists()
    capsys.readouterr()
    assert main(shown) != 0
    assert "the face model 'flame-structured' (sha256 " in capsys.readouterr().err
    result = read_take(tmp_path / "flame_take.npz").frame(40)
    schema = build_schema(describe_model(model))
    packed = encode_frame(result, stream=str(uuid.uuid4()), seq=0, schema=1, t_publish_ns=0)
    decoded = decode_frame(pack(packed))["faces"][0]
    assert schema["model"]["expression_names"] == [f"expression{index:03d}" for index in range(100)]
    np.testing.assert_array_equal(decoded["params"]["expression"], result.faces[0].params.expression)
    np.testing.assert_array_equal(decoded["params"]["jaw"], result.faces[0].params.jaw)


def test_the_built_in_heads_fit_in_flames_parameters(clip, networks, tmp_path, capsys):
    write_face_model(tmp_path / "flame.npz", flame_face_model())
    assert process(clip, "-o", tmp_path / "told.npz", "--flame", tmp_path / "flame.npz") == 0
    assert process(clip, "-o", tmp_path / "own.npz") == 0
    with np.load(tmp_path / "told.npz") as told, np.load(tmp_path / "own.npz") as own:
        assert told["expr"].shape == (20, 100)
        assert told["shape"].shape == (300,)
        np.testing.assert_allclose(told["arkit"], own["arkit"], atol=1e-6)
        np.testing.assert_allclose(told["eyes_pose"], own["eyes_pose"], atol=1e-6)
    capsys.readouterr()
    assert process(clip, "-o", tmp_path / "x.npz", "--flame", "builtin") != 0
    assert "has no ARKit map" in capsys.readouterr().err
