from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from tools import bench_bridges


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the CPU times of threads from /proc")
def test_figures() -> None:
    with ExitStack() as stack:
        specs = bench_bridges.open_specs(["opentrack", "openseeface"], stack)
        figures, early_mb, late_mb = bench_bridges.measure(specs, 0.5)
    assert [figure.name for figure in figures] == ["opentrack", "openseeface"]
    assert all(figure.sent > 0 and figure.failed == 0 and figure.cpu_percent >= 0.0 for figure in figures)
    assert early_mb > 0.0 and late_mb > 0.0
