"""Where takes go, and what is said when they cannot."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import MODEL, make_clip
from tracker.errors import RecordingError
from tracker.recording import is_complete, open_writer, read_take, source_signature, take_paths, take_state
from tracker.recording.files import part_path


def write_take(path: Path, meta: dict[str, object] | None = None, *, overwrite: bool = False, frames: int = 3) -> None:
    with open_writer(path, model=MODEL, meta=meta, overwrite=overwrite) as writer:
        for frame in make_clip(frames):
            writer.write(frame)


@pytest.mark.parametrize("name", ["take.mp4", "take.txt", "take"])
def test_an_unknown_suffix_lists_the_valid_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        RecordingError, match=r"expected a name ending in \.npz, \.jsonl, \.csv, \.parquet, \.mcap, got"
    ):
        open_writer(tmp_path / name, model=MODEL)


def test_an_existing_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "take.npz"
    write_take(path)
    with pytest.raises(RecordingError, match=r"exists already.*--force"):
        open_writer(path, model=MODEL)
    write_take(path, overwrite=True, frames=5)
    assert len(read_take(path)) == 5


def test_an_aborted_replacement_leaves_the_old_take(tmp_path: Path) -> None:
    path = tmp_path / "take.npz"
    write_take(path)
    writer = open_writer(path, model=MODEL, overwrite=True)
    writer.write(make_clip(1)[0])
    writer.abort()
    writer.close()
    assert len(read_take(path)) == 3 and [p.name for p in tmp_path.iterdir()] == ["take.npz"]
    with pytest.raises(ValueError, match="closed"):
        writer.write(make_clip(1)[0])


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="choose a folder that can be written"):
        open_writer(tmp_path / "file" / "take.npz", model=MODEL)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(RecordingError, match="it is a folder"):
        open_writer(tmp_path / "folder.npz", model=MODEL)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a file system that nobody may write to")
def test_a_read_only_file_system() -> None:
    with pytest.raises(RecordingError, match=r"cannot record to /proc/take\.npz"):
        open_writer("/proc/take.npz", model=MODEL)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordingError, match="Permission denied"):
        open_writer(tmp_path / "take.npz", model=MODEL)


@pytest.mark.skipif(os.name != "posix", reason="file locks of POSIX")
def test_one_take_is_not_recorded_twice_at_once(tmp_path: Path) -> None:
    first = open_writer(tmp_path / "take.npz", model=MODEL)
    first.write(make_clip(1)[0])
    with pytest.raises(RecordingError, match="another process is recording"):
        open_writer(tmp_path / "take.npz", model=MODEL)
    first.close()
    assert len(read_take(tmp_path / "take.npz")) == 1


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_take(tmp_path / "a" / "b" / "take.npz")
    assert is_complete(tmp_path / "a" / "b" / "take.npz")


def test_meta_is_kept_and_cannot_replace_what_the_take_says(tmp_path: Path) -> None:
    write_take(tmp_path / "take.npz", {"note": "hello", "model": "mine", "settings": {"x": [1, 2]}})
    meta = read_take(tmp_path / "take.npz").meta
    assert meta["note"] == "hello" and meta["settings"] == {"x": [1, 2]} and meta["model"]["name"] == "toy"
    with pytest.raises(ValueError):
        open_writer(tmp_path / "b.npz", model=MODEL, meta={"bad": float("nan")})
    with pytest.raises(TypeError):
        open_writer(tmp_path / "b.npz", model=MODEL, meta={"bad": np.zeros(3)})
    assert not (tmp_path / "b.npz.part").exists()


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv"])
def test_a_finished_take_is_recognised_by_its_source(tmp_path: Path, suffix: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a video")
    path = tmp_path / f"take{suffix}"
    assert take_state(path) == "missing"
    write_take(path, {"source": source_signature(clip)})
    assert is_complete(path) and is_complete(path, source_signature(clip))
    clip.write_bytes(b"another video")
    assert take_state(path, source_signature(clip)) == "other"
    assert take_state(path, source_signature("webcam:1")) == "other"


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv"])
def test_a_take_that_ended_early_is_not_complete(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    with pytest.raises(KeyboardInterrupt), open_writer(path, model=MODEL) as writer:
        writer.write(make_clip(1)[0])
        raise KeyboardInterrupt
    assert take_state(path) == "partial"


@pytest.mark.parametrize("name", ["a.npz", "a.jsonl", "a.csv", "a.mp4"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"{}\n", b'{"format":"face-take"}\n', b"[1]\n[2]\n", b"\x00" * 99]
)
def test_other_files_are_neither_takes_nor_tracebacks(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert take_state(path) == "other"
    with pytest.raises(RecordingError) as caught:
        read_take(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_foreign_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vhap.npz"
    np.savez(path, rotation=np.zeros((3, 3)), translation=np.zeros((3, 3)))
    with pytest.raises(RecordingError, match="meta_json"):
        read_take(path)
    np.savez(path, meta_json=np.array({"a": 1}, dtype=object))
    with pytest.raises(RecordingError, match=r"vhap\.npz"):
        read_take(path)
    np.savez(path, meta_json=np.array("not json"))
    with pytest.raises(RecordingError, match="meta_json is unreadable"):
        read_take(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("arkit"), "'arkit' is missing"),
        (lambda a: a.update(arkit=a["arkit"][:2]), r"'arkit' must have shape \(3, 52\), got \(2, 52\)"),
        (lambda a: a.update(identity=np.zeros((2, 1))), "'identity' must have shape"),
        (lambda a: a.update(meta_json=np.array(str(a["meta_json"]).replace('"version": 1,', '"version": 9,'))), "found 9"),
    ],
)  # fmt: skip
def test_takes_whose_parts_do_not_fit_are_refused(tmp_path: Path, change: object, message: str) -> None:
    write_take(tmp_path / "a.npz")
    arrays = dict(read_take(tmp_path / "a.npz").arrays)
    change(arrays)  # type: ignore[operator]
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(RecordingError, match=message):
        read_take(tmp_path / "b.npz")


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.pop("t_capture"),
        lambda r: r.update(frame="x"),
        lambda r: r["faces"][0]["params"].update(jaw=[1, 2]),
        lambda r: r["faces"][0].update(arkit="abc"),
        lambda r: r.update(faces=3),
        lambda r: r.update(image=None),
    ],
)
def test_damaged_jsonl_frames_are_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "a.jsonl"
    write_take(path)
    lines = path.read_text().splitlines()
    record = json.loads(lines[2])
    damage(record)  # type: ignore[operator]
    lines[2] = json.dumps(record)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match="frame record 1 is damaged"):
        read_take(path)


def test_a_missing_take(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read take .*none\.npz: No such file"):
        read_take(tmp_path / "none.npz")
    with pytest.raises(RecordingError, match="cannot read take"):
        read_take(tmp_path)
    part_path(tmp_path / "cut.npz").touch()
    with pytest.raises(RecordingError, match=r"was cut off has left .*cut\.npz\.part, give that$"):
        read_take(tmp_path / "cut.npz")


def test_outputs_of_one_and_of_several_sources(tmp_path: Path) -> None:
    assert take_paths(tmp_path / "x.JSONL", ["a.mp4"]) == [tmp_path / "x.JSONL"]
    assert take_paths(tmp_path, ["a.mp4"]) == [tmp_path / "a.npz"]
    assert take_paths("new", ["v/a.b.mp4", "w/a.b.mov", "A.B.mkv", "frames/"]) == [
        Path("new/a.b.npz"), Path("new/a.b-2.npz"), Path("new/A.B-3.npz"), Path("new/frames.npz"),
    ]  # fmt: skip
    assert take_paths(tmp_path, ["a.mp4"], ".csv") == [tmp_path / "a.csv"]
    with pytest.raises(RecordingError, match="2 inputs cannot go to one file"):
        take_paths("take.npz", ["a.mp4", "b.mp4"])
    with pytest.raises(RecordingError, match=r"expected a name ending in \.npz"):
        take_paths("take.mp4", ["a.mp4"])


def test_a_take_holds_one_landmark_set(tmp_path: Path) -> None:
    frames = [frame for frame in make_clip(4) if frame.faces]
    face = frames[1].faces[0]
    fewer = dataclasses.replace(face.landmarks, points=face.landmarks.points[:5], sigma=face.landmarks.sigma[:5])
    with open_writer(tmp_path / "a.npz", model=MODEL, landmarks=True) as writer:
        writer.write(frames[0])
        with pytest.raises(ValueError, match="one landmark set"):
            writer.write(dataclasses.replace(frames[1], faces=(dataclasses.replace(face, landmarks=fewer),)))
    assert len(read_take(tmp_path / "a.npz")) == 1
