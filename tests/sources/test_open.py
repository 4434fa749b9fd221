from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.sources.clips import flat, write_video
from tests.sources.test_images import save
from tracker.errors import SourceError
from tracker.sources.images import ImageFiles
from tracker.sources.open import image_files, open_source
from tracker.sources.video import VideoFile


def refusal(spec: str, **options: object) -> str:
    with pytest.raises(SourceError) as error:
        open_source(spec, **options)  # type: ignore[arg-type]
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "talk.mp4", [flat(64, 48, 50)] * 3)
    (tmp_path / "shots").mkdir()
    for number in (1, 2, 10):
        save(tmp_path / "shots" / f"shot{number:02d}.png", flat(8, 6, number))
    save(tmp_path / "shots" / "other.jpg", flat(8, 6, 99))
    (tmp_path / "empty").mkdir()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    return tmp_path


def test_video_file(folder: Path) -> None:
    with open_source("talk.mp4") as source:
        assert isinstance(source, VideoFile)
        assert source.name == "talk.mp4"
    with open_source(str(folder / "talk.mp4"), start_s=0.04, end_s=0.08) as source:
        assert [frame.pts_s for frame in source] == [Fraction(1, 25)]


def test_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    with open_source("~/talk.mp4") as source:
        assert source.frame_count == 3


@pytest.mark.parametrize(
    ("spec", "count"),
    [("shots", 4), ("shots/*.png", 3), ("shots/shot0?.png", 2), ("shots/shot%02d.png", 3), ("shots/other.jpg", 1)],
)
def test_images(folder: Path, spec: str, count: int) -> None:
    with open_source(spec, fps=12.5) as source:
        assert isinstance(source, ImageFiles)
        assert (source.frame_count, source.rate) == (count, Fraction(25, 2))


def test_an_existing_name_with_brackets_is_no_pattern(folder: Path) -> None:
    save(folder / "take[1].png", flat(8, 6, 7))
    assert image_files("take[1].png") == [Path("take[1].png")]


def test_misspelt_names_get_a_suggestion(folder: Path) -> None:
    assert "did you mean talk.mp4?" in refusal("tlak.mp4")
    assert "did you mean webcam?" in refusal("webcan")
    assert "or test?" in refusal("tests")
    assert "write webcam:1" in refusal("1")


def test_names_of_nothing_list_what_is_possible(folder: Path) -> None:
    for text in (refusal("zzz"), refusal(""), refusal("nowhere/zzz.mp4")):
        assert all(kind in text for kind in ("webcam:1", "video file", "images", "rtsp://", "test"))


def test_folders_and_patterns_without_images(folder: Path) -> None:
    assert "it is empty" in refusal("empty")
    assert "it has videos: give one of them, e.g. videos/a.mp4" in refusal("videos")
    assert "nothing matches it" in refusal("shots/*.webp")
    assert "what it matches is none" in refusal("videos/*.mp4")


def test_bad_details(folder: Path) -> None:
    assert "after webcam:" in refusal("webcam:front")
    assert "after test:" in refusal("test:0")
    assert "after test:" in refusal("test:")
    assert "none of the protocols" in refusal("gopher://host/x")
    assert "plain path" in refusal("file:///tmp/x.mp4")


def test_settings_that_mean_nothing_are_refused(folder: Path) -> None:
    assert "size can be asked of webcam and test" in refusal("talk.mp4", size=(640, 480))
    assert "frame rate can be given for" in refusal("talk.mp4", fps=30)
    assert "start and end" in refusal("shots", start_s=1)
    assert "between 0 and 1000" in refusal("webcam", fps=0)
