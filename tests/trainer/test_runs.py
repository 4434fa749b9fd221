from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")
pytest.importorskip("lightning_fabric", reason="the trainer needs lightning-fabric")

from tracker.errors import ConfigError  # noqa: E402
from trainer import checkpoint, session  # noqa: E402
from trainer.cli import main  # noqa: E402
from trainer.errors import CheckpointError, TrainingError  # noqa: E402
from trainer.run_folder import RunFolder  # noqa: E402
from trainer.watch import Watcher  # noqa: E402

TOY = "tests.trainer.toy_method:Toy"


def fit(
    out: Path, *sets: str, until: int | None = None, watcher: Watcher | None = None
) -> tuple[RunFolder, session.Outcome]:
    wanted = session.layered(TOY, "smoke", sets=["machine.device=cpu", *sets])
    return session.fit(wanted, out, watcher=watcher, until=until)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def assert_same_state(first: RunFolder, second: RunFolder) -> None:
    one, other = checkpoint.load(first.last), checkpoint.load(second.last)
    for name in ("step", "images", "best", "module", "optimiser", "average", "random"):
        assert same(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("loop.ema=0.9", "loop.accumulate=2", "machine.workers=2"),
        ("loop.precision=bf16-mixed", "optimiser.kind=sgd"),
    ],
    ids=["plain", "average-accumulate-workers", "bf16-sgd"],
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path, sets: tuple[str, ...]) -> None:
    whole, _ = fit(tmp_path / "whole", *sets)
    parts, outcome = fit(tmp_path / "parts", *sets, until=3)
    assert outcome.ending == "stopped" and outcome.step == 3
    assert session.resume(parts).ending == "finished"
    assert_same_state(whole, parts)


def test_resuming_from_an_earlier_checkpoint_writes_history_anew(tmp_path: Path) -> None:
    def written(run: RunFolder) -> list[tuple[str, int]]:
        return [(line["kind"], line["step"]) for line in run.history() if line["kind"] != "session"]

    run, _ = fit(tmp_path / "run", until=3)
    early = run.last.read_bytes()
    session.resume(run)
    once = written(run)
    run.last.write_bytes(early)
    session.resume(run)
    assert written(run) == once and ("evaluation", 6) in once


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    class Interrupting(Watcher):
        def stepped(self, step: int, fraction: float, eta_s: float | None) -> None:
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    run, outcome = fit(tmp_path / "run", watcher=Interrupting())
    assert (outcome.ending, outcome.step) == ("interrupted", 2)
    session.resume(run)
    assert_same_state(run, fit(tmp_path / "whole")[0])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_time_budget_ends_the_run_with_an_evaluation(tmp_path: Path) -> None:
    _, outcome = fit(tmp_path / "run", "loop.steps=1000000", "loop.minutes=0.005", "loop.log_every=1000")
    assert outcome.ending == "time is up" and 0 < outcome.step < 1_000_000
    assert outcome.table is not None


def test_learning_brings_the_error_down(tmp_path: Path) -> None:
    run, _ = fit(tmp_path / "run", "loop.steps=60", "loop.evaluate_every=1", "optimiser.lr=0.01", "method.dropout=0")
    errors = [line["rows"]["all"]["error"] for line in run.history() if line["kind"] == "evaluation"]
    assert len(errors) == 60 and errors[-1] < 0.5 * errors[0]
    assert checkpoint.load(run.best).best == min(errors)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss became NaN or infinite .* nothing was saved yet"):
        fit(tmp_path / "run", "method.kind=broken")
    assert not list(tmp_path.rglob("*.pt"))


def test_a_run_folder_is_not_trained_over(tmp_path: Path) -> None:
    fit(tmp_path / "run", until=1)
    with pytest.raises(TrainingError, match="holds a run already; take it up with `trainer resume"):
        fit(tmp_path / "run")


def test_checkpoints_of_others_are_refused_in_one_line(tmp_path: Path) -> None:
    run, _ = fit(tmp_path / "run", until=1)
    good = run.last.read_bytes()
    for content, message in (
        (b"", "is no checkpoint"),
        (good[:500], "is no checkpoint"),
        (b"PK\3\4 x", "is no checkpoint"),
    ):
        run.last.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            session.resume(run)
    torch.save({"weights": torch.zeros(2)}, run.last)
    with pytest.raises(CheckpointError, match="of another program"):
        session.resume(run)
    torch.save({"evil": Path("x")}, run.last)  # would need code to be executed
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        session.resume(run)
    run.last.write_bytes(good)
    with pytest.raises(CheckpointError, match="of another network than the settings describe"):
        session.resume(run, ["method.width=8"])
    run.last.unlink()
    with pytest.raises(CheckpointError, match="has no last checkpoint yet"):
        session.resume(run)


def test_a_full_disk_is_one_line_and_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = fit(tmp_path / "run", until=1)
    before = run.last.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .* No space left on device"):
        session.resume(run)
    assert run.last.read_bytes() == before
    assert os.listdir(run.last.parent) == ["last.pt"]


def test_config_holds_what_it_takes_to_repeat_the_run(tmp_path: Path) -> None:
    run, _ = fit(tmp_path / "run", "optimiser.lr=0.02", until=1)
    config = run.config()
    assert config["settings"]["optimiser"]["lr"] == 0.02
    assert config["made_with"]["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert session.layered(TOY, file=run.config_path).plain() == config["settings"]
    run.config_path.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json is damaged"):
        run.config()


def test_fit_evaluate_export_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main(["fit", TOY, "--preset", "smoke", "--out", run, "--set", "machine.device=cpu", "--quiet"]) == 0
    assert main(["evaluate", run, "--json"]) == 0
    error = json.loads(capsys.readouterr().out)["rows"]["all"]["error"]
    assert error == checkpoint.load(RunFolder(Path(run)).best).best
    assert main(["export", run, "-o", str(tmp_path / "toy.onnx")]) == 0
    from engines.model import read_model

    model = read_model(tmp_path / "toy.onnx")
    assert model.network is not None and model.network.landmark_set == "square" and model.open_batch
    assert b"site-packages" not in (tmp_path / "toy.onnx").read_bytes(), "paths of this machine in the file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nothing"], "unknown method 'nothing'"),
        (["fit", "no.such.module:X"], "there is no module 'no'"),
        (["fit", "tests.trainer.toy_method:X"], "has no 'X' to take as a method"),
        (["fit", TOY, "--preset", "huge"], "has no preset 'huge': there are smoke"),
        (["fit", TOY, "--set", "optimiser.lr=-1"], "optimiser.lr must be a number in 1e-09..100, got -1"),
        (["fit", TOY, "--set", "method.width=0"], "method.width must be a whole number in 1..64, got 0"),
        (["fit", TOY, "--set", "optimizer.lr=1"], "unknown setting optimizer"),
        (["fit", TOY, "--config", "/none.toml"], "cannot read the settings /none.toml"),
        (["fit", TOY, "--set", "loop.precision=16-mixed", "--set", "machine.device=cpu"], "16-mixed needs a GPU"),
        (["resume", "/nowhere/at/all"], "is no run folder"),
        (["export", "never_trained", "-o", "x.onnx"], "there is no run folder 'never_trained'"),
        (["fti", TOY], "unknown verb"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (1, 2)
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1, said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here, to save them the import of torch")
def test_two_processes_train_on_different_data_and_end_with_the_same_weights(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "two")
    _in_two_processes(tmp_path, partial(fit, run.path, until=3))
    _in_two_processes(tmp_path, partial(session.resume, run))
    two = checkpoint.load(run.last)
    assert (two.step, two.images, len(two.random)) == (6, 6 * 2 * 4, 2)
    assert not torch.equal(two.random[0]["torch"], two.random[1]["torch"])
    # One process that accumulates two batches sees the same data; only batch norm sees other groups of it, and dropout.
    sets = ("method.dropout=0", "optimiser.kind=sgd", "loop.log_every=1")
    _in_two_processes(tmp_path, partial(fit, tmp_path / "wide", *sets))
    fit(tmp_path / "long", "loop.accumulate=2", *sets)
    wide, long = (
        [line["values"]["loss"] for line in RunFolder(tmp_path / name).history() if line["kind"] == "train"]
        for name in ("wide", "long")
    )
    assert wide == pytest.approx(long, rel=1e-5)
    with pytest.raises(CheckpointError, match="made by 2 processes"):
        session.resume(run, ["loop.steps=8"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here, to save them the import of torch")
def test_weights_without_a_part_in_the_loss_are_told_of_in_several_processes(tmp_path: Path) -> None:
    _in_two_processes(tmp_path, partial(_refused, tmp_path / "refused"))


def _refused(folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"some weights of toy .* --set machine.find_unused_parameters=true"):
        fit(folder, "method.kind=idle")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_torchrun_starts_the_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "trainer"]
    command += [
        "fit",
        TOY,
        "--preset",
        "smoke",
        "--out",
        str(tmp_path / "run"),
        "--quiet",
        "--set",
        "machine.device=cpu",
    ]
    command += ["--set", "method.kind=idle", "--set", "machine.find_unused_parameters=true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    run = RunFolder(tmp_path / "run")
    kept = checkpoint.load(run.last)
    assert (kept.step, kept.images, len(kept.random)) == (6, 6 * 2 * 4, 2)
    assert [line["step"] for line in run.history() if line["kind"] == "evaluation"] == [3, 6]


def _in_two_processes(folder: Path, work: Callable[[], object]) -> None:
    """As torchrun would start them, but forked from a process that has imported torch and computed nothing: this one has
    autograd's threads, which do not survive a fork.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    port = _free_port()
    processes = [context.Process(target=_one_of_two, args=(rank, port, folder, work)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()
    errors = [path.read_text() for path in folder.glob("error_*")]
    assert [process.exitcode for process in processes] == [0, 0], "\n".join(errors)


def _one_of_two(rank: int, port: int, folder: Path, work: Callable[[], object]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {"GROUP_RANK": "0"}
    try:
        work()
    except BaseException:
        (folder / f"error_{rank}").write_text(traceback.format_exc())
        raise
    finally:
        torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_an_error_in_a_stream_ends_the_run_and_its_thread(tmp_path: Path) -> None:
    from tests.trainer.toy_method import SquareStream
    from trainer.data.loader import batches

    class Breaking(SquareStream):
        def batch(self, index: int) -> Any:
            if index == 2:
                raise TrainingError("a file is gone")
            return super().batch(index)

    before = threading.active_count()
    with batches(Breaking(2, 0), iter(range(10))) as source, pytest.raises(TrainingError, match="a file is gone"):
        for _ in source:
            pass
    time.sleep(0.05)
    assert threading.active_count() == before
