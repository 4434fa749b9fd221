"""The examples as a newcomer runs them, against a publisher in this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher
from tracker.types import FrameResult

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINE = "face 1: 0.250 0.062 0.500 m, tongueOut 0.80"


@pytest.fixture
def stream(publisher: Publisher, golden: ModuleType) -> Iterator[Publisher]:
    """A publisher that sends a face 100 times a second."""
    with _publishing(publisher, lambda index: golden.make_result(golden.make_face(), index=index)):
        yield publisher


@pytest.fixture
def landmark_stream(free_ports: PublishConfig, golden: ModuleType) -> Iterator[Publisher]:
    """The same with landmarks, of which one is in sight."""
    result = golden.make_result(golden.add_visibility(golden.make_face()))
    with (
        Publisher(replace(free_ports, with_landmarks=True), golden.MODEL) as publisher,
        _publishing(publisher, lambda index: result),
    ):
        yield publisher


@contextmanager
def _publishing(publisher: Publisher, result: Callable[[int], FrameResult]) -> Iterator[None]:
    done = threading.Event()

    def run() -> None:
        index = 0
        while not done.wait(0.01):
            publisher.publish(result(index))
            index += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="session")
def node_example(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/node with its two packages installed; kept between test runs where pytest keeps anything."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    # Not an attribute of every configuration: `-p no:cacheprovider` leaves it away.
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    folder = tmp_path_factory.mktemp("node-example") if cache is None else cache.mkdir("node-example")
    for name in ("package.json", "subscriber.mjs"):
        shutil.copy(EXAMPLES / "node" / name, folder / name)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=90)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"the packages of the Node example cannot be installed: {error}")
    return folder / "subscriber.mjs"


def first_lines(command: list[str], count: int, timeout_s: float = 20) -> list[str]:
    """The first lines that a program prints before it is stopped."""
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert program.stdout is not None and program.stderr is not None
    watchdog = threading.Timer(timeout_s, program.kill)
    watchdog.start()
    try:
        lines = [program.stdout.readline().rstrip("\n") for _ in range(count)]
        if not lines[-1]:
            program.kill()
            raise AssertionError(f"{lines} and then: {program.stderr.read()}")
        return lines
    finally:
        watchdog.cancel()
        program.kill()
        program.wait()
        program.stdout.close()
        program.stderr.close()


def frame_of(line: str) -> int:
    return int(line.split()[1].rstrip(":"))


def test_python_subscriber(stream: Publisher) -> None:
    first, second = first_lines([sys.executable, str(EXAMPLES / "subscriber.py"), stream.endpoint], 2)
    assert first == f"frame {frame_of(first)} {LINE}"
    assert frame_of(second) == frame_of(first) + 1


def test_python_subscriber_tells_what_is_in_sight(landmark_stream: Publisher) -> None:
    (line,) = first_lines([sys.executable, str(EXAMPLES / "subscriber.py"), landmark_stream.endpoint], 1)
    assert line == f"frame 30 {LINE}, 1 landmarks in sight"


def test_node_subscriber_tells_what_is_in_sight(landmark_stream: Publisher, node_example: Path) -> None:
    (line,) = first_lines(["node", str(node_example), landmark_stream.endpoint], 1)
    assert line.endswith(", 1 landmarks in sight")


def test_python_subscriber_to_the_newest_frame(stream: Publisher) -> None:
    assert stream.latest_endpoint is not None
    lines = first_lines([sys.executable, str(EXAMPLES / "subscriber_latest.py"), stream.latest_endpoint], 3)
    assert all(line.endswith(": 1 face(s)") for line in lines)
    assert frame_of(lines[2]) - frame_of(lines[1]) > 5


def test_node_subscriber(stream: Publisher, node_example: Path) -> None:
    first, second = first_lines(["node", str(node_example), stream.endpoint], 2)
    # JavaScript rounds the half up where Python rounds to even.
    assert first == f"frame {frame_of(first)} {LINE.replace('0.062', '0.063')}"
    assert frame_of(second) == frame_of(first) + 1
