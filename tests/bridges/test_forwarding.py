"""``tracker bridge`` beside a feed: frames of the stream arrive in the other protocol, and Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridges import readers
from tests.bridges.conftest import MakeFace
from tools.make_golden_wire import MODEL, make_result
from tracker.publishing.config import PublishConfig
from tracker.publishing.publisher import Publisher

NO_SOCKETS = {"latest": None, "control": None}


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(PublishConfig(bind=f"ipc://{tmp_path}/frames", **NO_SOCKETS), MODEL) as publisher:  # type: ignore[arg-type]
        yield publisher


def start(publisher: Publisher, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracker", "bridge", "--connect", publisher.config.bind, *arguments],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def received(publisher: Publisher, receiver: socket.socket, face: object) -> bytes:
    """The first datagram that comes for frames that are published until then."""
    receiver.settimeout(0.05)
    deadline_s = time.monotonic() + 20.0
    while time.monotonic() < deadline_s:
        publisher.publish(make_result(face))  # type: ignore[arg-type]
        try:
            return receiver.recv(65536)
        except TimeoutError:
            continue
    raise AssertionError("nothing came")


def test_a_stream_is_sent_on_until_ctrl_c(publisher: Publisher, receiver: socket.socket, posed_face: MakeFace) -> None:
    face = posed_face(yaw=0.3, jawOpen=0.5)
    process = start(publisher, "--to", f"livelink=127.0.0.1:{receiver.getsockname()[1]}?subject=Alice")
    try:
        # It says that nobody is there until the first frame.
        while not (packet := readers.read_livelink(received(publisher, receiver, face))).values:
            continue
        assert packet.subject == "Alice" and packet.values[17] == 0.5
        assert packet.values[52] == pytest.approx(0.3, abs=1e-5)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - began_s < 3.0
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err and "sending livelink to" in err


def test_a_model_that_is_not_here_is_told(publisher: Publisher, receiver: socket.socket, posed_face: MakeFace) -> None:
    process = start(publisher, "--to", f"openseeface=127.0.0.1:{receiver.getsockname()[1]}")
    try:
        (record,) = readers.read_openseeface(received(publisher, receiver, posed_face()))
        assert record.confidence[30] == 0.0 and record.got_3d
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert len([line for line in err.splitlines() if "face model is not on this machine" in line]) == 1


def test_ctrl_c_while_nobody_answers_ends_at_once(publisher: Publisher) -> None:
    pytest.importorskip("websockets", reason="the library that the bridge speaks through")
    # An address that swallows packets: connecting to it takes as long as it is allowed to.
    process = start(publisher, "--to", "vts=10.255.255.1", "--to", "vmc=10.255.255.1")
    try:
        time.sleep(1.5)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - began_s < 3.0
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err
