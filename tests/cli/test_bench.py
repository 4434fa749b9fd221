"""``tracker bench``: figures under plain names, and one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tracker.benchmark import RepeatedSource
from tracker.cli import main
from tracker.errors import ConfigError, NetworkAssetError
from tracker.networks.assets import BUNDLE
from tracker.networks.store import locate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "3"], "--frames must be at least 10"),
        (["--json", "/nowhere/at/all/b.json"], "there is no folder /nowhere/at/all"),
        (["--source", "no-such-clip.mp4"], "no-such-clip.mp4"),
        (["--source", "test"], "'test' is live"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) != 0
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_short_clip_is_repeated_with_times_that_go_on(samples: Callable[[str], Path]) -> None:
    with RepeatedSource(str(samples("single_face.mp4")), 150) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(150))
    steps_ms = [(b.t_capture_ns - a.t_capture_ns) / 1e6 for a, b in pairwise(frames)]
    assert min(steps_ms) > 20.0
    assert max(steps_ms) < 50.0


def test_a_live_source_cannot_be_repeated() -> None:
    with pytest.raises(ConfigError, match="live"):
        RepeatedSource("test", 10)


@pytest.mark.slow
def test_figures(samples: Callable[[str], Path], tmp_path: Path) -> None:
    try:
        locate(BUNDLE)
    except NetworkAssetError as error:
        pytest.skip(str(error))
    target = tmp_path / "bench.json"
    # In a process of its own: the memory of the processes that it starts counts from that of the one that starts them.
    clip = str(samples("single_face.mp4"))
    command = [sys.executable, "-m", "tracker", "bench", "--source", clip, "--frames", "30", "--json", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(target.read_text())
    assert figures["fps"] > 1.0
    assert 0.0 < figures["latency_p50_ms"] <= figures["latency_p95_ms"] < 5000.0
    assert {"encode", "fit", "publish"} <= set(figures["stages"])
    assert set(figures["detect_frame"]) == {"640x360", "1280x720", "1920x1080", "3840x2160", "nobody"}
    assert 0.05 < figures["first_result_s"] < 30.0
    assert 30.0 < figures["rss_mb"] < 2000.0
    assert "frames/s" in done.stdout
