from __future__ import annotations

import pytest

from tracker.bridges import BridgeHub, BridgeSpec
from tracker.cli import main
from tracker.errors import ConfigError, PublishError


@pytest.mark.parametrize(
    ("text", "host", "port", "options"),
    [
        ("livelink", "127.0.0.1", 11111, {}),
        ("vmc=10.0.0.2", "10.0.0.2", 39540, {}),
        ("livelink=studio:12000", "studio", 12000, {}),
        ("livelink=:12000", "127.0.0.1", 12000, {}),
        ("livelink=[::1]", "::1", 11111, {}),
        ("livelink=[fe80::1]:5", "fe80::1", 5, {}),
        ("livelink=10.0.0.2?subject=Alice%20B&device=x", "10.0.0.2", 11111, {"subject": "Alice B", "device": "x"}),
    ],
)
def test_specs(text: str, host: str, port: int, options: dict[str, str]) -> None:
    spec = BridgeSpec.parse(text)
    assert (spec.host, spec.port, dict(spec.options)) == (host, port, options)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("skype", "there is no bridge 'skype' (there are: livelink"),
        ("livelink=", "expected livelink=HOST"),
        ("livelink=host:", "no port after"),
        ("livelink=host:0", "1..65535, got '0'"),
        ("livelink=host:70000", "got '70000'"),
        ("livelink=host:http", "got 'http'"),
        ("livelink=fe80::1", "in brackets"),
        ("livelink=[fe80::1", "as [ADDRESS]"),
        ("livelink?speed=3", "no option 'speed' (it has: subject"),
        ("livelink?subject", "livelink: subject must have 1..256 bytes"),
        ("vmc?neck=much", "neck must be a number in 0..1, got 'much'"),
        ("vmc?neck=nan", "neck must be a number in 0..1, got 'nan'"),
        ("vmc?presets=vrm2", "presets must be one of vrm0, vrm1, both, none; got 'vrm2'"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        BridgeHub([BridgeSpec.parse(text)])
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(PublishError, match=r"cannot find a machine called 'no-such-host\.invalid'"):
        BridgeHub([BridgeSpec.parse("livelink=no-such-host.invalid")])


def test_a_bridge_that_fails_leaves_none_open() -> None:
    import threading

    with pytest.raises(PublishError):
        BridgeHub([BridgeSpec.parse("livelink"), BridgeSpec.parse("vmc=no-such-host.invalid")])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bridge")]


def test_the_command_line_needs_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge"]) == 2
    assert "--to NAME" in capsys.readouterr().err
    assert main(["bridge", "--list"]) == 0
    assert "livelink" in capsys.readouterr().out
