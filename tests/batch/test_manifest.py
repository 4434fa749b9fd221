"""The manifest of a batch: a line a take, whole after every crash, kept when the batch goes on."""

from __future__ import annotations

import json

import pytest

from tracker.batch.clip import Job, Outcome
from tracker.batch.manifest import Manifest, read_manifest
from tracker.errors import RecordingError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "takes" / "manifest.ndjson"


def job(path, name):
    return Job(f"/videos/{name}.mp4", path.parent / f"{name}.npz")


def test_each_outcome_is_on_disk_at_once(path):
    manifest = Manifest(path, [], "abc")
    manifest.add(job(path, "one"), Outcome("complete", 10, 9, 1.5, quality={"frames": 10, "lost_share": 0.1}))
    manifest.add(job(path, "two"), Outcome("failed", error="two.mp4: no video", exit_code=1))
    one, two = (json.loads(line) for line in path.read_text().splitlines())
    assert one["take"] == "one.npz" and one["lost_share"] == 0.1 and one["settings"] == "abc"
    assert two["status"] == "failed" and two["error"] == "two.mp4: no video" and "frames" not in two


def test_going_on_keeps_the_lines_of_takes_that_stay(path):
    first = Manifest(path, [], "abc")
    for name in ("one", "two"):
        first.add(job(path, name), Outcome("complete"))
    again = Manifest(path, [job(path, "two").output], "def")
    assert again.knows(job(path, "one").output) and not again.knows(job(path, "two").output)
    again.add(job(path, "two"), Outcome("complete"))
    assert {line["take"]: line["settings"] for line in read_manifest(path)} == {"one.npz": "abc", "two.npz": "def"}


def test_a_line_that_was_cut_off_is_left_out(path):
    Manifest(path, [], "abc").add(job(path, "one"), Outcome("complete"))
    with path.open("a") as file:
        file.write('{"take": "tw')
    assert [line["take"] for line in read_manifest(path)] == ["one.npz"]


@pytest.mark.parametrize("text", ["someone's notes\n", "[1]\n", '{"source": "x"}\n'])
def test_a_file_that_is_no_manifest_is_not_replaced(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RecordingError, match=r"line 1 is not a line of a manifest.*--manifest"):
        Manifest(path, [], "abc")
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match="--manifest"):
        Manifest(tmp_path / "file" / "manifest.ndjson", [], "abc")
