from __future__ import annotations

import errno
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

import tracker
from tracker.errors import ConfigError, PublishError
from tracker.publishing.client import estimate_clock_offset, request
from tracker.publishing.control import MAX_REQUEST_BYTES, ControlServer


@pytest.fixture
def stopped() -> threading.Event:
    return threading.Event()


@pytest.fixture
def server(stopped: threading.Event) -> Iterator[ControlServer]:
    def stop(_: dict[str, Any]) -> dict[str, Any]:
        stopped.set()
        return {"stopping": True}

    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError("a defect")

    def full(_: dict[str, Any]) -> dict[str, Any]:
        raise OSError(errno.ENAMETOOLONG, "File name too long", "y" * 5000)

    def refuse(message: dict[str, Any]) -> dict[str, Any]:
        raise ConfigError(f"no face {message['id']}")

    with ControlServer("tcp://127.0.0.1:0", {"stop": stop, "fail": fail, "full": full, "refuse": refuse}) as server:
        yield server


def send_raw(endpoint: str, *parts: bytes) -> dict[str, Any]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.REQ) as raw:
        raw.linger = 0
        raw.connect(endpoint)
        raw.send_multipart(parts)
        assert raw.poll(2000)
        answer: dict[str, Any] = json.loads(raw.recv())
        return answer


def test_time_echoes_the_askers_clock_with_the_hosts(server: ControlServer) -> None:
    before = time.monotonic_ns()
    answer = request(server.endpoint, "time", fields={"t1": before})
    assert answer["t1"] == before
    assert before <= answer["t_host"] <= time.monotonic_ns()


def test_clock_offset_to_this_machine_is_nothing(server: ControlServer) -> None:
    offset = estimate_clock_offset(server.endpoint, samples=10)
    assert abs(offset.offset_ns) <= offset.roundtrip_ns / 2
    assert offset.samples == 10


def test_version(server: ControlServer) -> None:
    assert request(server.endpoint, "version") == {"tracker": tracker.__version__, "v": 1}


def test_stop_is_answered_before_the_server_goes(server: ControlServer, stopped: threading.Event) -> None:
    assert request(server.endpoint, "stop") == {"stopping": True}
    assert stopped.wait(1)


def test_verbs_can_be_added(server: ControlServer) -> None:
    server.register("record.start", lambda message: {"file": message["file"]})
    assert request(server.endpoint, "record.start", fields={"file": "take.npz"}) == {"file": "take.npz"}


def test_unknown_verb_lists_the_known_ones(server: ControlServer) -> None:
    with pytest.raises(
        PublishError, match="unknown cmd 'dance': expected one of fail, full, refuse, stop, time, version"
    ):
        request(server.endpoint, "dance")


def test_a_user_error_in_a_handler_is_told_in_its_own_words(server: ControlServer) -> None:
    with pytest.raises(PublishError, match="says: no face 7"):
        request(server.endpoint, "refuse", fields={"id": 7})


def test_what_the_system_refuses_is_one_short_line_without_a_traceback(
    server: ControlServer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(PublishError, match=r"says: File name too long: y+…$") as caught:
        request(server.endpoint, "full")
    assert len(str(caught.value)) < 300
    assert not caplog.records


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (b"\x00\xff\xfe",),
        (b"hello",),
        (b"[1, 2]",),
        (b'{"cmd": ["time"]}',),
        (b'{"cmd": "time"}',),
        (b'{"cmd": "time", "t1": "now"}',),
        (b'{"cmd": "time", "t1": NaN}',),
        (b'{"cmd": "fail"}',),
        (b"[" * 60000,),
        (b'{"cmd": "version"}', b"more"),
        (b"\x81\xa3cmd\xa7version",),
    ],
)
def test_garbage_gets_one_line_and_does_not_end_the_server(server: ControlServer, parts: tuple[bytes, ...]) -> None:
    answer = send_raw(server.endpoint, *parts)
    assert list(answer) == ["error"] and "\n" not in answer["error"]
    assert request(server.endpoint, "version")["v"] == 1


def test_bytes_that_are_not_zmtp_and_oversized_requests_do_not_end_the_server(server: ControlServer) -> None:
    host, port = server.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.REQ) as raw:
        raw.linger = 0
        raw.connect(server.endpoint)
        raw.send(b" " * (MAX_REQUEST_BYTES + 1))
        assert not raw.poll(200)
    assert request(server.endpoint, "version")["v"] == 1


def test_nobody_there_is_one_clear_line() -> None:
    with pytest.raises(
        PublishError, match=r"no tracker answered at tcp://127\.0\.0\.1:1 within 0\.1 s: start one with"
    ):
        request("tcp://127.0.0.1:1", "version", timeout_s=0.1)


def test_a_busy_port_names_the_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PublishError, match=rf"port {port} is taken.*--bind-control"):
            ControlServer(f"tcp://127.0.0.1:{port}", {})
