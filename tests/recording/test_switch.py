"""Takes that begin and end while frames go by."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.make_golden_wire import make_result
from tracker.errors import ConfigError, RecordingError
from tracker.face_model import load_face_model
from tracker.recording import TakeWriter, open_writer, read_take, take_state
from tracker.recording.switch import TakeSwitch


def begin(path: Path, overwrite: bool) -> TakeWriter:
    return open_writer(path, model=load_face_model(), raw=False, overwrite=overwrite)


def test_frames_go_to_the_take_that_is_on(tmp_path: Path) -> None:
    first, second, ended = tmp_path / "first.npz", tmp_path / "second.jsonl", []
    with TakeSwitch(begin, on_end=lambda path, error: ended.append((path, error))) as takes:
        takes.write(make_result(index=0))
        assert takes.path is None and takes.frame_count == 0
        takes.start(first)
        for index in range(1, 4):
            takes.write(make_result(index=index))
        assert (takes.path, takes.frame_count) == (first, 3)
        assert takes.stop() == (first, 3)
        takes.write(make_result(index=4))
        takes.start(second)
        takes.write(make_result(index=5))
    assert take_state(first) == take_state(second) == "complete"
    assert (len(read_take(first)), len(read_take(second))) == (3, 1)
    assert ended == [(first, None)]


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with TakeSwitch(begin) as takes:
        with pytest.raises(ConfigError, match="nothing is being recorded"):
            takes.stop()
        takes.start(tmp_path / "take.npz")
        with pytest.raises(ConfigError, match=r"already recording to .*take\.npz"):
            takes.start(tmp_path / "other.npz")
        takes.stop()
        with pytest.raises(RecordingError, match="expected"):
            takes.start(tmp_path / "take.mov")
    with TakeSwitch(begin) as takes:
        with pytest.raises(RecordingError, match="exists already"):
            takes.start(tmp_path / "take.npz")
        takes.start(tmp_path / "take.npz", overwrite=True)
        takes.write(make_result(index=0))
    assert len(read_take(tmp_path / "take.npz")) == 1


def test_a_session_that_fails_leaves_a_partial_take(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TakeSwitch(begin) as takes:
        takes.start(tmp_path / "take.npz")
        takes.write(make_result(index=0))
        raise ZeroDivisionError
    assert take_state(tmp_path / "take.npz") == "partial"


def test_a_take_that_cannot_be_finished_is_told(tmp_path: Path) -> None:
    def fail(complete: bool = True) -> None:
        raise RecordingError("the disk is full")

    ended: list[object] = []
    writer = SimpleNamespace(path=tmp_path / "take.npz", frame_count=7, close=fail)
    with TakeSwitch(begin, writer, on_end=lambda path, error: ended.append(str(error))) as takes:  # type: ignore[arg-type]
        assert takes.stop()[1] == 7
    assert ended == ["the disk is full"] and takes.failed


def test_a_disk_that_fails_ends_the_take_and_not_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[RecordingError] = []
    path = tmp_path / "take.npz"
    with TakeSwitch(begin, on_give_up=given_up.append) as takes:
        takes.start(path)
        for index in range(3):
            takes.write(make_result(index=index))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _no_room)
            for index in range(3, 6):
                takes.write(make_result(index=index))
        assert takes.failed and takes.path is None
        (error,) = given_up
        assert "the disk is full" in str(error) and "the 3 frames so far" in str(error)
        takes.start(tmp_path / "next.npz")
        takes.write(make_result(index=6))
    assert len(read_take(tmp_path / "take.npz.part")) == 3 and not path.exists()
    assert len(read_take(tmp_path / "next.npz")) == 1


def _no_room(descriptor: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
