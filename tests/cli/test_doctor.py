"""The doctor: finds what is wrong, names the command that mends it, and its exit code can be relied on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracker import diagnosis
from tracker.cli import main
from tracker.diagnosis import Finding, examine
from tracker.errors import FaceModelError


def _findings() -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine()}


def test_a_bare_machine_is_told_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "tracker models fetch" in text
    assert "tracker samples fetch" in text
    assert text.splitlines()[-1].startswith("not ready: networks")


def test_a_machine_with_networks_can_track(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] is True
    states = {finding["subject"]: finding["state"] for finding in report["findings"]}
    assert states["networks"] == states["inference"] == states["face model"] == "ok"


def test_a_damaged_network_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, networks: Path) -> None:
    copy = tmp_path / "networks"
    copy.mkdir()
    for path in networks.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    victim = copy / "face_landmarks_detector.tflite"
    victim.write_bytes(victim.read_bytes()[:-1])
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path))
    finding = _findings()["networks"]
    assert finding.state == "missing"
    assert victim.name in finding.detail
    assert finding.fix == "tracker models fetch"


def test_a_busy_port_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setattr("tracker.publishing.config.DEFAULT_BIND", f"tcp://127.0.0.1:{port}")
        finding = _findings()["ports"]
    assert finding.state == "warning"
    assert str(port) in finding.detail


def test_a_cache_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "file" / "cache"))
    finding = _findings()["cache"]
    assert finding.state == "missing"
    assert "TRACKER_CACHE" in finding.fix


def test_a_check_that_breaks_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        raise FaceModelError("the head is gone; reinstall")
        yield

    def unimportable() -> Iterator[Finding]:
        raise ModuleNotFoundError("No module named 'zmq'", name="zmq")
        yield

    monkeypatch.setattr(diagnosis, "_face_model", broken)
    monkeypatch.setattr(diagnosis, "_sockets", unimportable)
    findings = {finding.subject: finding for finding in examine()}
    assert findings["broken"].detail == "the head is gone; reinstall"
    assert findings["unimportable"].fix.endswith("--force-reinstall zmq")
    assert "GPU" in findings
