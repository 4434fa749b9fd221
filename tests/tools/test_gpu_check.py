"""The GPU check without a GPU: every step says what came of it, and the report stands after each."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from engines.cuda.gpu import find_gpu
from engines.errors import EngineError
from tools import gpu_check
from tools.gpu import machine
from tools.gpu.steps import Child, Outcome, Report, SkippedError, carry_out


def test_each_step_ends_in_one_of_three_ways(tmp_path: Path) -> None:
    report = Report(tmp_path / "report")

    def measured(outcome: Outcome) -> None:
        outcome.facts["speed, GB/s"] = 4321.0987
        outcome.tables["Times"] = [{"batch": 1, "ms": 0.25}, {"batch": 2, "ms": 0.5, "p95": 0.75}]

    def impossible(outcome: Outcome) -> None:
        raise SkippedError("no GPU")

    def refused(outcome: Outcome) -> None:
        error = EngineError("engine x cannot run: it is damaged")
        error.add_note("in its own | words")
        raise error

    def surprising(outcome: Outcome) -> None:
        raise ZeroDivisionError("division by zero")

    states = [report.add(carry_out(work.__name__, work)).state for work in (measured, impossible, refused, surprising)]
    assert states == ["done", "skipped", "failed", "failed"]
    written = json.loads((tmp_path / "report" / "gpu_check.json").read_text())
    assert [step["reason"] for step in written] == [
        "", "no GPU", "engine x cannot run: it is damaged", "ZeroDivisionError: division by zero",
    ]  # fmt: skip
    page = (tmp_path / "report" / "gpu_check.md").read_text()
    assert "- speed, GB/s: 4321" in page
    assert "| batch | ms | p95 |" in page
    assert "| 1 | 0.25 |  |" in page
    assert "in its own / words" in page


def test_no_step_is_begun_when_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--out", str(tmp_path), "--seconds", "-1"]) == 0
    written = json.loads((tmp_path / "gpu_check.json").read_text())
    assert len(written) > 10
    assert {step["state"] for step in written} == {"skipped"}
    assert str(tmp_path / "gpu_check.md") in capsys.readouterr().out


def test_a_machine_without_a_gpu_is_told_about() -> None:
    if not isinstance(find_gpu(), str):
        pytest.skip("there is a GPU")
    outcome = carry_out("machine", gpu_check.described)
    assert (outcome.state, outcome.reason) == ("skipped", find_gpu())
    assert outcome.facts["numpy"]
    held = carry_out("crops", gpu_check.on_gpu(lambda outcome: pytest.fail("ran without a GPU")))
    assert held.state == "skipped"


def test_pycuda_wants_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    outcome = carry_out("pycuda", lambda outcome: machine.build_pycuda(outcome, None, tmp_path))
    assert outcome.state == "skipped"
    assert "--pycuda" in outcome.reason


def test_a_step_is_a_process_of_its_own(tmp_path: Path) -> None:
    result = tmp_path / "x.json"
    hangs = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    begun = time.monotonic()
    late = Child("hangs", [sys.executable, "-c", hangs], result, os.environ).outcome(1.0)
    assert (late.state, late.reason) == ("failed", "stopped after 1 s")
    assert time.monotonic() - begun < 20
    crashed = Child("crashes", [sys.executable, "-c", "raise SystemExit('out of luck')"], result, os.environ).outcome(
        30
    )
    assert (crashed.state, crashed.reason) == ("failed", "its process ended with 1: out of luck")


def test_one_step_alone(tmp_path: Path) -> None:
    assert gpu_check.main(["--out", str(tmp_path), "--step", "machine"]) == 0
    (step,) = json.loads((tmp_path / "gpu_check.json").read_text())
    assert step["name"] == "machine" and step["facts"]["numpy"]
    with pytest.raises(SystemExit):
        gpu_check.main(["--out", str(tmp_path), "--step", "another"])
