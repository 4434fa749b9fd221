"""The command of the evaluation: wrong settings are one line, a quick run writes its figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import evaluate
from tracker.errors import NetworkAssetError
from tracker.networks.assets import BUNDLE
from tracker.networks.store import locate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--smoothing", "hands=1,2"], "groups are rotation"),
        (["--smoothing", "rotation=fast"], "expected min_cutoff_hz,beta"),
        (["--fit", "speed=3"], "no setting 'speed' in FitConfig"),
    ],
)
def test_wrong_settings_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Settings are read before anything slow begins.
    monkeypatch.setattr(evaluate, "Follower", lambda: pytest.fail("networks were loaded first"))
    assert evaluate.main(["steadiness", *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_face_model_that_is_not_there_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "Follower", lambda: pytest.fail("networks were loaded first"))
    assert evaluate.main(["models", "--face-models", "nobody.npz"]) == 1
    said = capsys.readouterr().err
    assert "nobody.npz" in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_steadiness_writes_its_figures(samples: Callable[[str], Path], tmp_path: Path) -> None:
    try:
        locate(BUNDLE)
    except NetworkAssetError as error:
        pytest.skip(str(error))
    target = tmp_path / "steady.json"
    clip = samples("single_face.mp4")
    assert evaluate.main(["steadiness", "--quick", "--no-peers", "--clips", str(clip), "--json", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert figures["smooth"]["worst"]["landmarks_percent"] < figures["raw"]["worst"]["landmarks_percent"]
    assert figures["lag"]["landmarks_frames"] < 1.0


def test_a_quick_look_at_flame_knows_its_joints(networks: Path, tmp_path: Path) -> None:
    figures = tmp_path / "flame.json"
    assert evaluate.main(["flame", "--quick", "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["map"]["expressions"] == 51
    assert found["shape"]["rotation_deg"] < 6.0
    assert found["shape"]["lid_correlation"] > 0.5
    assert found["itself"]["arkit"]["correlation"] > 0.2
    assert found["itself"]["jaw_pitch"]["correlation"] > 0.3
