"""docs/takes.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.recording.factory import MODEL, make_clip, with_visibility
from tracker.batch.clip import Job, Outcome
from tracker.batch.manifest import NAME, Manifest
from tracker.recording import open_writer, read_take
from tracker.recording.quality import QualityMeter

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "takes.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer(tmp_path / "take.npz", model=MODEL) as writer:
        for frame in make_clip(20):
            writer.write(frame)
    manifest = Manifest(tmp_path / "takes" / NAME, [], "0" * 12)
    for name, lost in (("good", 0.0), ("bad", 0.5)):
        outcome = Outcome("complete", quality={"lost_share": lost, "misfit_p95": 0.02})
        manifest.add(Job(f"{name}.mp4", tmp_path / "takes" / f"{name}.npz"), outcome)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        names = {}
        exec(compile(block, "docs/takes.md", "exec"), names)
    said = capsys.readouterr().out
    assert len(blocks) == 3 and names["good"] == ["good.npz"]
    assert said.startswith("20 frames in 0.6 s, a face in 55%") and said.count("\n") == 2 + 16


def test_every_figure_of_the_manifest_is_documented() -> None:
    section = DOCUMENT.split("## Many clips")[1].split("```python")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    always = {"take", "source", "status", "error", "settings", "tracker", "seconds"}
    assert documented == always | set(QualityMeter().summary())


def test_every_key_is_documented_and_no_other(tmp_path: Path) -> None:
    with open_writer(tmp_path / "take.npz", model=MODEL, landmarks=True, appearance=True) as writer:
        for frame in make_clip(3):
            writer.write(with_visibility(frame))
    take = read_take(tmp_path / "take.npz")
    tables = DOCUMENT.split("## Keys of the `.npz`")[1].split("### `meta_json`")[0]
    rows = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| `")]
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert documented == set(take.arrays)
    meta = DOCUMENT.split("### `meta_json`")[1].split("##")[0]
    assert set(take.meta) <= set(re.findall(r"`(\w+)`", meta))
