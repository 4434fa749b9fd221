"""Two kinds of tests live here: those of the add-on's plain modules, and those that run in Blender (``make test-blender``)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The add-on's plain modules are imported as the package that they are, without Blender.
sys.path.insert(0, str(ROOT / "tools" / "blender"))


def tracker_python() -> str:
    """The Python that has the tracker; Blender's has not."""
    return os.environ.get("TRACKER_PYTHON", sys.executable)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], step: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Call ``step`` until ``condition`` holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        step()
        time.sleep(0.002)


class Stage:
    """A publisher process that can be stopped and started again on its ports."""

    def __init__(self, port: int, control: int, *options: str) -> None:
        self.endpoint, self.control = f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{control}"
        self._command = [tracker_python(), "-m", "tests.blender.stage", "publish", f"--port={port}", *options]
        self._command.append(f"--control={control}")
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("publishing")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def stage() -> Iterator[Callable[..., Stage]]:
    """``stage("--fps=120")`` starts a publisher of known faces."""
    with ExitStack() as stack:

        def start(*options: str) -> Stage:
            made = Stage(free_port(), free_port(), *options)
            stack.callback(made.stop)
            return made

        yield start


@pytest.fixture(scope="session")
def known_take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A take of 60 frames at 30000/1001 Hz, with nobody in frames 20 to 24."""
    path = tmp_path_factory.mktemp("takes") / "known.npz"
    command = [tracker_python(), "-m", "tests.blender.stage", "take", str(path)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return path
