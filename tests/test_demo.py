"""The demo is the main job end to end: tracked, published, received by another process, drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.conftest import REPOSITORY


def _demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "tools" / "demo.py"), *arguments]
    # So that the tests also pass where the package is not installed.
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_clip_is_tracked_published_received_and_drawn(
    samples: Callable[[str], Path], networks: Path, tmp_path: Path
) -> None:
    clip = samples("single_face.mp4")
    done = _demo("--clip", str(clip), "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "72 frames tracked, 72 with a face; 72 received over ZeroMQ" in done.stdout
    with np.load(tmp_path / "take.npz") as take:
        assert len(take["arkit"]) == 72
        # He smiles after a third of the clip and is sober at its start.
        smile = take["arkit"][:, list(take["arkit_names"]).index("mouthSmileLeft")]
        assert smile[40] - smile[2] > 0.25
    with av.open(str(tmp_path / "overlay.mp4")) as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == 72
    with av.open(str(tmp_path / "picture.png")) as picture:
        assert next(picture.decode(video=0)).width > 1000


def test_a_clip_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    done = _demo("--clip", "no-such-clip", "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "demo: there is no sample 'no-such-clip'; `tracker samples list` shows them\n"
