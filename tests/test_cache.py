"""The cache folder: where it is, that it can be made, and that files in it are whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tracker.cache import FOLDER_NAME, CacheError, atomic_target, cache_dir, data_dir, ensure_cache_dir, sha256_of


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    assert cache_dir("networks") == tmp_path / "networks"
    assert not (tmp_path / "networks").exists()


def test_a_relative_variable_is_taken_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_CACHE", "mine")
    assert cache_dir() == tmp_path / "mine"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG specification is for Linux")
@pytest.mark.parametrize(("xdg", "below_home"), [("/var/xdg", False), ("relative/is/ignored", True), ("", True)])
def test_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xdg: str, below_home: bool) -> None:
    monkeypatch.delenv("TRACKER_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    expected = tmp_path / ".cache" if below_home else Path(xdg)
    assert cache_dir() == expected / FOLDER_NAME


def test_data_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRACKER_DATA", str(tmp_path / "data"))
    assert data_dir("face_models") == tmp_path / "data" / "face_models" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", ".local/share"),
        ("darwin", "Library/Application Support"),
        ("win32", "AppData/Local/Data"),
    ],
)
def test_data_lies_where_the_platform_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, expected: str
) -> None:
    for variable in ("TRACKER_DATA", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert data_dir() == tmp_path / expected / FOLDER_NAME


def test_a_folder_that_cannot_be_made_is_one_line_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="TRACKER_CACHE") as caught:
        ensure_cache_dir("samples")
    assert "\n" not in str(caught.value)


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "network.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_target(target) as partial:
        partial.write_bytes(b"half of the n")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["network.bin"]
    assert target.read_bytes() == b"old"
    with atomic_target(target) as partial:
        partial.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # The example of FIPS 180-2, appendix B.1.
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
