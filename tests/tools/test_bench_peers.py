"""The comparison's arithmetic, and the protocol with a subject process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tools import bench_peers
from tools.peers.client import SubjectError, SubjectProcess, Timing
from tools.peers.start import start
from tracker.errors import NetworkAssetError
from tracker.networks.assets import BUNDLE
from tracker.networks.store import locate


def _tally(*medians_ms: float) -> bench_peers.Tally:
    tally = bench_peers.Tally()
    for ms in medians_ms:
        tally.add(Timing(np.full(5, ms), np.full(5, 2 * ms), np.array([True, True, False, True, True])))
    return tally


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was twice as slow in the second round, for both.
    result = bench_peers.report(
        {"tracker": _tally(2.0, 4.0), "face_landmarker": _tally(4.0, 8.0)}, {"tracker": 200.0, "face_landmarker": 260.0}
    )
    assert result["ratio_to_face_landmarker"] == 0.5
    assert "ratio_to_facemesh" not in result
    assert result["tracker"]["cpu_ms"] == 3.0
    assert result["tracker"]["found_share"] == 0.8


def test_a_subject_that_cannot_start_says_why() -> None:
    with pytest.raises(SubjectError, match=r"nobody ended with exit code 1: KeyError: 'nobody'"):
        SubjectProcess("nobody", sys.executable)


def test_our_own_subject_reports_timing_and_landmarks(tmp_path: Path) -> None:
    try:
        locate(BUNDLE)
    except NetworkAssetError as error:
        pytest.skip(str(error))
    np.save(tmp_path / "frames.npy", np.full((4, 120, 160, 3), 90, np.uint8))
    with start("tracker") as subject:
        assert subject.load(tmp_path / "frames.npy", 30.0) == 4
        timing = subject.run(0, 3)
        seen = subject.see(3, 4)
    assert timing.cpu_ms.shape == (3,)
    assert (timing.cpu_ms > 0).all()
    assert not timing.found.any()
    assert np.isnan(seen["scores"]).all()
    assert seen["scores"].shape == (1, 52)
