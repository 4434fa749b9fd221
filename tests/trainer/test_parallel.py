"""Work spread over processes: everything is done once, errors come through, a process that dies is told of."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tracker.errors import ConfigError
from trainer.errors import TrainingError
from trainer.parallel import cores, spread


def _write(path: Path, text: str) -> tuple[str, int, str | None]:
    path.write_text(text)
    return text, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def _refuse() -> None:
    raise ConfigError("no such clip")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep() -> None:
    time.sleep(60)


def test_every_job_is_done_once_by_processes_of_their_own(tmp_path: Path) -> None:
    before = dict(os.environ)
    jobs = [partial(_write, tmp_path / f"{number}", f"{number}") for number in range(5)]
    found = dict(spread(jobs, 2))
    assert [found[number][0] for number in range(5)] == ["0", "1", "2", "3", "4"]
    assert os.getpid() not in {process for _, process, _ in found.values()}
    assert {threads for _, _, threads in found.values()} == {"1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
    assert dict(os.environ) == before


def test_one_process_is_this_one(tmp_path: Path) -> None:
    ((_, (_, process, _)),) = spread([partial(_write, tmp_path / "one", "one")], 8)
    assert process == os.getpid()
    assert cores() >= 1


def test_an_error_comes_through_and_ends_the_others_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="no such clip"):
        list(spread([_sleep, _refuse], 2))
    assert time.monotonic() - begun < 30


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(TrainingError, match="one of 2 processes died"):
        list(spread([_die, _sleep], 2))
