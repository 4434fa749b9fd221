from __future__ import annotations

import argparse
import dataclasses
import os
import stat
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
import zmq
import zmq.auth

from tracker.errors import ConfigError, PublishError
from tracker.publishing import wire
from tracker.publishing.client import Subscriber, request
from tracker.publishing.config import PublishConfig, add_arguments, from_args, is_local, parse_endpoint
from tracker.publishing.control import ControlServer
from tracker.publishing.publisher import Publisher
from tracker.publishing.security import ServerSecurity, ensure_key_pair

needs_curve = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq has no CURVE")


def parse(*arguments: str) -> PublishConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_args(parser.parse_args(arguments))


def make_client(server_keys: Path, client_keys: Path, *, admit: bool) -> Path:
    """A client's key folder with a copy of the server's public key; its own is handed to the server if ``admit``."""
    ensure_key_pair(client_keys, "client")
    (client_keys / "server.key").write_bytes((server_keys / "server.key").read_bytes())
    if admit:
        (server_keys / "clients" / "someone.key").write_bytes((client_keys / "client.key").read_bytes())
    return client_keys


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("5000", "tcp://127.0.0.1:5000"),
        (":5000", "tcp://127.0.0.1:5000"),
        ("0", "tcp://127.0.0.1:0"),
        ("localhost:*", "tcp://localhost:*"),
        ("192.168.1.2:5000", "tcp://192.168.1.2:5000"),
        ("[::1]:5000", "tcp://[::1]:5000"),
        ("tcp://*:5000", "tcp://*:5000"),
        ("ipc:///tmp/faces", "ipc:///tmp/faces"),
    ],
)
def test_endpoints_as_people_write_them(text: str, endpoint: str) -> None:
    assert parse_endpoint(text, "--bind") == endpoint


@pytest.mark.parametrize(
    "text", ["", "somewhere", "tcp://host", "127.0.0.1:70000", "udp://1.2.3.4:5", "ipc://", "a:b:1"]
)
def test_bad_endpoints_name_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--bind-control takes tcp://HOST:PORT"):
        parse_endpoint(text, "--bind-control")


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.1.2.3:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("ipc:///tmp/x", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://*:1", False),
        ("tcp://[::]:1", False),
        ("tcp://192.168.0.7:1", False),
        ("tcp://eth0:1", False),
        ("tcp://127.evil.example:1", False),
    ],
)
def test_only_loopback_counts_as_local(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


@pytest.mark.parametrize("option", ["--bind", "--bind-latest", "--bind-control"])
def test_open_endpoints_need_keys_or_the_explicit_flag(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tcp://0\.0\.0\.0:5000 is reachable .* --curve-keys DIR .* --insecure-lan"):
        parse(option, "0.0.0.0:5000")
    assert parse(option, "0.0.0.0:5000", "--insecure-lan").insecure_lan
    assert parse(option, "0.0.0.0:5000", "--curve-keys", str(tmp_path)).curve_keys == tmp_path


def test_options_and_defaults() -> None:
    assert parse() == PublishConfig("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5558", "tcp://127.0.0.1:5557")
    config = parse("--bind-latest", "none", "--bind-control", "None", "--with-raw", "--with-landmarks")
    assert config.latest is None and config.control is None and config.with_raw and config.with_landmarks


@needs_curve
def test_secret_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    public, secret = ensure_key_pair(tmp_path / "keys", "server")
    file = tmp_path / "keys" / "server.key_secret"
    assert zmq.auth.load_certificate(file) == (public, secret)
    assert ensure_key_pair(tmp_path / "keys", "server") == (public, secret)
    assert secret not in (tmp_path / "keys" / "server.key").read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
        with pytest.raises(PublishError, match=r"can be read by other users.*chmod 600"):
            ensure_key_pair(tmp_path / "keys", "server")


@needs_curve
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'public-key = "short"\n'])
def test_a_damaged_key_file_is_named(content: bytes, tmp_path: Path) -> None:
    ensure_key_pair(tmp_path, "server")
    (tmp_path / "server.key_secret").write_bytes(content)
    with pytest.raises(PublishError, match=r"server\.key_secret"):
        ServerSecurity(tmp_path)


def test_a_key_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PublishError, match=r"cannot make the key folder .*file/keys"):
        ServerSecurity(tmp_path / "file" / "keys")


def test_libzmq_without_curve_is_a_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda capability: False)
    with pytest.raises(PublishError, match="built without CURVE: reinstall pyzmq"):
        ServerSecurity(tmp_path)


@needs_curve
def test_a_known_client_reads_the_stream_and_asks(
    free_ports: PublishConfig, golden: ModuleType, tmp_path: Path
) -> None:
    config = dataclasses.replace(free_ports, curve_keys=tmp_path / "server")
    with Publisher(config, golden.MODEL) as publisher:
        assert publisher.latest_endpoint is not None and config.control is not None
        client = make_client(tmp_path / "server", tmp_path / "client", admit=True)
        with (
            ControlServer(config.control, {}, security=publisher.security) as control,
            Subscriber(publisher.endpoint, curve_keys=client) as subscriber,
            Subscriber(publisher.latest_endpoint, latest=True, curve_keys=client) as latest,
        ):
            message = subscriber.receive(3)
            assert message is not None and message.topic == wire.TOPIC_SCHEMA
            assert request(control.endpoint, "version", curve_keys=client)["v"] == 1
            deadline = time.monotonic() + 3
            while latest.receive(0.02) is None:
                publisher.publish(golden.make_result())
                assert time.monotonic() < deadline


@needs_curve
def test_an_unknown_client_is_refused_until_its_key_is_added(
    free_ports: PublishConfig, golden: ModuleType, tmp_path: Path
) -> None:
    config = dataclasses.replace(free_ports, curve_keys=tmp_path / "server")
    with Publisher(config, golden.MODEL) as publisher:
        client = make_client(tmp_path / "server", tmp_path / "client", admit=False)
        with (
            Subscriber(publisher.endpoint, curve_keys=client) as subscriber,
            pytest.raises(
                PublishError, match=r"does not know this client: copy .*client\.key into the clients/ folder"
            ),
        ):
            subscriber.receive(3)
        make_client(tmp_path / "server", client, admit=True)
        with Subscriber(publisher.endpoint, curve_keys=client) as subscriber:
            assert subscriber.receive(3) is not None


@needs_curve
def test_mismatches_are_explained(free_ports: PublishConfig, golden: ModuleType, tmp_path: Path) -> None:
    config = dataclasses.replace(free_ports, curve_keys=tmp_path / "server")
    with Publisher(config, golden.MODEL) as encrypted, Publisher(free_ports, golden.MODEL) as plain:
        client = make_client(tmp_path / "server", tmp_path / "client", admit=True)
        with Subscriber(encrypted.endpoint) as subscriber, pytest.raises(PublishError, match="encrypts: pass --curve"):
            subscriber.receive(3)
        with (
            Subscriber(plain.endpoint, curve_keys=client) as subscriber,
            pytest.raises(PublishError, match="does not encrypt: leave out --curve-keys"),
        ):
            subscriber.receive(3)
        ServerSecurity(tmp_path / "another").close()
        wrong = make_client(tmp_path / "another", tmp_path / "wrong", admit=False)
        with (
            Subscriber(encrypted.endpoint, curve_keys=wrong) as subscriber,
            pytest.raises(PublishError, match=r"server\.key is not that tracker's key"),
        ):
            subscriber.receive(5)


@needs_curve
def test_a_client_without_the_servers_key_is_told_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"server\.key is missing: copy server\.key .* and .*client\.key into"):
        Subscriber("tcp://127.0.0.1:1", curve_keys=tmp_path / "new")
    assert (tmp_path / "new" / "client.key").is_file()


@needs_curve
def test_no_thread_is_left_behind(free_ports: PublishConfig, golden: ModuleType, tmp_path: Path) -> None:
    before = threading.active_count()
    with Publisher(dataclasses.replace(free_ports, curve_keys=tmp_path), golden.MODEL):
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_a_connection_that_does_not_end_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tracker.publishing.security._ENDING_S", 0.2)
    security = ServerSecurity()
    stuck = security.context.socket(zmq.PUB)
    started_s = time.monotonic()
    security.close()
    assert time.monotonic() - started_s < 3.0
    assert "does not end" in caplog.text
    stuck.close(linger=0)
