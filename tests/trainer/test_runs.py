from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")
pytest.importorskip("lightning_fabric", reason="the trainer needs lightning-fabric")

from trainer import checkpoint, session  # noqa: E402
from trainer.cli import main  # noqa: E402
from trainer.run_folder import RunFolder  # noqa: E402

TOY = "tests.trainer.toy_method:Toy"


def _fit(out: Path, *sets: str, until: int | None = None) -> session.Outcome:
    wanted = session.layered(TOY, "smoke", sets=["machine.device=cpu", *sets])
    return session.fit(wanted, out, until=until)[1]


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("loop.ema=0.9", "loop.accumulate=2", "machine.workers=2"),
        ("loop.precision=bf16-mixed", "optimiser.kind=sgd"),
    ],
    ids=["plain", "average-accumulate-workers", "bf16-sgd"],
)
def test_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path, sets: tuple[str, ...]) -> None:
    _fit(tmp_path / "whole", *sets)
    assert _fit(tmp_path / "parts", *sets, until=3).ending == "stopped"
    assert session.resume(RunFolder(tmp_path / "parts")).ending == "finished"

    whole, parts = (checkpoint.load(RunFolder(tmp_path / name).last) for name in ("whole", "parts"))
    for name in ("step", "images", "best", "module", "optimiser", "average", "random"):
        assert _same(getattr(whole, name), getattr(parts, name)), name


def test_fit_evaluate_export_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main(["fit", TOY, "--preset", "smoke", "--out", run, "--set", "machine.device=cpu", "--quiet"]) == 0
    assert main(["evaluate", run, "--json"]) == 0
    error = json.loads(capsys.readouterr().out)["rows"]["all"]["error"]
    assert error == checkpoint.load(RunFolder(Path(run)).best).best
    assert main(["export", run, "-o", str(tmp_path / "toy.onnx")]) == 0
    assert (tmp_path / "toy.onnx").exists()
