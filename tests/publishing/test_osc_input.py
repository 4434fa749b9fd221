"""OSC that comes in: recentre and calibrate, and nothing else, whatever is sent."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tracker.cli import main
from tracker.errors import ConfigError, PublishError
from tracker.publishing.osc_input import OscInput, parse_osc

RECENTER = b"/tracker/recenter\0\0\0,\0\0\0"
CALIBRATE_OFF = b"/tracker/calibrate\0\0,s\0\0off\0"
BUNDLE = (
    b"#bundle\0" + struct.pack(">Q", 1) + b"".join(struct.pack(">i", len(m)) + m for m in (RECENTER, CALIBRATE_OFF))
)
VRCHAT = b"/avatar/parameters/etvr_recenter\0\0\0\0,T\0\0"


class Asked:
    """Notes what is asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if request.get("mode") == "sideways":
            raise ConfigError("no such mode")
        return {"ok": True}


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def send(asked: Asked) -> Iterator[Callable[[bytes], None]]:
    handlers = {"recenter": asked.handle, "calibrate": asked.handle, "stop": asked.handle}
    with OscInput("127.0.0.1", 0, handlers) as osc, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        yield lambda data: udp.sendto(data, ("127.0.0.1", osc.port)) and None


def wait_for(asked: Asked, count: int) -> list[dict[str, Any]]:
    deadline_s = time.monotonic() + 3.0
    while len(asked.requests) < count:
        assert time.monotonic() < deadline_s, asked.requests
        time.sleep(0.005)
    return asked.requests


def test_what_makes_sense_is_done(asked: Asked, send: Callable[[bytes], None]) -> None:
    for data in (RECENTER, CALIBRATE_OFF, VRCHAT, b"/tracker/calibrate\0\0"):
        send(data)
    assert wait_for(asked, 4) == [
        {"cmd": "recenter"},
        {"cmd": "calibrate", "mode": "off"},
        {"cmd": "recenter"},
        {"cmd": "calibrate"},
    ]


def test_a_bundle_of_python_osc(asked: Asked, send: Callable[[bytes], None]) -> None:
    builders = pytest.importorskip("pythonosc.osc_bundle_builder", reason="an independent sender of OSC")
    messages = pytest.importorskip("pythonosc.osc_message_builder", reason="an independent sender of OSC")
    bundle = builders.OscBundleBuilder(builders.IMMEDIATELY)
    message = messages.OscMessageBuilder("/tracker/recenter")
    for value in (1, 0.5, "text", True):
        message.add_arg(value)
    bundle.add_content(message.build())
    bundle.add_content(messages.OscMessageBuilder("/avatar/parameters/etvr_recalibrate").build())
    send(bundle.build().dgram)
    assert wait_for(asked, 2) == [{"cmd": "recenter"}, {"cmd": "calibrate"}]


def test_what_is_refused_or_let_go_or_unknown_changes_nothing(asked: Asked, send: Callable[[bytes], None]) -> None:
    send(b"/avatar/parameters/etvr_recenter\0\0\0\0,F\0\0")
    send(b"/tracker/recenter\0\0\0,i\0\0\0\0\0\0")
    send(b"/tracker/stop\0\0\0,\0\0\0")
    send(b"/tracker/calibrate\0\0,s\0\0sideways\0\0\0\0")
    send(RECENTER)
    assert [request["cmd"] for request in wait_for(asked, 2)] == ["calibrate", "recenter"]


@pytest.mark.parametrize("packet", [RECENTER, CALIBRATE_OFF, BUNDLE, VRCHAT])
def test_truncated_packets_are_ignored(packet: bytes) -> None:
    whole = parse_osc(packet)
    assert whole
    for size in range(len(packet)):
        # A bundle keeps the messages that came whole.
        found = parse_osc(packet[:size])
        assert found == whole[: len(found)] or found == [(whole[0][0], ())]


def test_noise_is_ignored() -> None:
    generator = random.Random(7)
    for _ in range(20_000):
        packet = bytearray(generator.choice((RECENTER, CALIBRATE_OFF, BUNDLE, VRCHAT)))
        for _ in range(generator.randint(1, 6)):
            packet[generator.randrange(len(packet))] = generator.randrange(256)
        for address, arguments in parse_osc(bytes(packet)):
            assert address.startswith("/") and isinstance(arguments, tuple)
    for _ in range(5_000):
        parse_osc(generator.randbytes(generator.randint(0, 64)))
        parse_osc(b"#bundle\0" + generator.randbytes(generator.randint(0, 64)))


def test_bundles_in_bundles_end() -> None:
    packet = RECENTER
    for _ in range(40):
        packet = b"#bundle\0" + bytes(8) + struct.pack(">i", len(packet)) + packet
    assert parse_osc(packet) == []
    small = b"#bundle\0" + bytes(8) + (struct.pack(">i", len(RECENTER)) + RECENTER) * 500
    assert len(parse_osc(small)) == 64


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        with pytest.raises(PublishError, match="choose another port with --osc-in") as error:
            OscInput("127.0.0.1", udp.getsockname()[1], {})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [("port", "PORT or HOST:PORT"), ("70000", "PORT or HOST:PORT"), ("0.0.0.0:9001", "reachable from other machines")],
)
def test_wrong_options_are_one_line(option: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["run", "--source", "test", "--osc-in", option, "--bind", "0", "--bind-latest", "none",
                     "--bind-control", "none", "--quiet"])  # fmt: skip
    except SystemExit as ended:
        code = int(ended.code or 0)
    err = capsys.readouterr().err.strip()
    if "networks" in err:
        pytest.skip("the networks are not fetched")
    assert code == 2 and words in err and len(err.splitlines()) == 1
