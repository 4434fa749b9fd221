"""``tracker listen`` and ``tracker control`` as the user calls them, against a publisher in this process."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tracker.cli import main
from tracker.face_model import load_face_model
from tracker.publishing.config import PublishConfig
from tracker.publishing.control import ControlServer
from tracker.publishing.decoding import decode_frame, decode_schema
from tracker.publishing.describe import describe_model
from tracker.publishing.publisher import Publisher
from tracker.publishing.results import to_frame_result
from tracker.publishing.text import face_line
from tracker.recording import read_take
from tracker.types import FrameResult, KnownIdentity


@contextmanager
def streaming(publisher: Publisher, make: Callable[[int], FrameResult], frames: int | None = None) -> Iterator[None]:
    """A tracker at 200 frames/s; ends its stream after ``frames``."""
    done = threading.Event()

    def stream() -> None:
        index = 0
        while not done.wait(0.005) and (frames is None or index < frames):
            publisher.publish(make(index))
            index += 1
        if frames is not None:
            publisher.close()

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def one_face(golden: ModuleType) -> Callable[[int], FrameResult]:
    return lambda index: golden.make_result(golden.make_face(), index=index)


def test_json_lines_name_every_weight(
    publisher: Publisher, one_face: Callable[[int], FrameResult], capsys: pytest.CaptureFixture[str]
) -> None:
    with streaming(publisher, one_face):
        assert main(["listen", "--connect", publisher.endpoint, "--json", "--count", "3", "--timeout", "5"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert lines[1]["frame"] == lines[0]["frame"] + 1
    face = lines[0]["faces"][0]
    assert face["arkit"]["eyeLookDownLeft"] == 1 / 64
    assert face["params"]["expression"] == {"jawOpen": 0.25, "mouthSmileLeft": 0.375, "mouthSmileRight": 0.5}
    assert face["head"]["position"] == [0.25, 0.0625, 0.5]
    assert lines[0]["K"][0] == [734, 0, 320]


def test_json_of_everything(
    publisher: Publisher, one_face: Callable[[int], FrameResult], capsys: pytest.CaptureFixture[str]
) -> None:
    with streaming(publisher, one_face):
        assert (
            main(["listen", "--connect", publisher.endpoint, "--json", "--all", "--count", "1", "--timeout", "5"]) == 0
        )
    topics = [json.loads(line)["topic"] for line in capsys.readouterr().out.splitlines()]
    assert topics[0] == "face/schema/" and topics[-1] == "face/frame/" and "face/identity/" in topics


def test_the_latest_only_endpoint(
    publisher: Publisher, one_face: Callable[[int], FrameResult], capsys: pytest.CaptureFixture[str]
) -> None:
    assert publisher.latest_endpoint is not None
    with streaming(publisher, one_face):
        arguments = ["listen", "--latest", "--connect", publisher.latest_endpoint, "--json", "--count", "2"]
        assert main([*arguments, "--timeout", "5"]) == 0
    first, second = (json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines())
    assert second > first


def test_the_view_without_a_terminal(
    publisher: Publisher, one_face: Callable[[int], FrameResult], capsys: pytest.CaptureFixture[str]
) -> None:
    with streaming(publisher, one_face):
        assert main(["listen", "--connect", publisher.endpoint, "--count", "20", "--timeout", "5"]) == 0
    out = capsys.readouterr().out
    assert "fps" in out and "latency" in out
    assert "#1  yaw" in out and "0.56 m  tongueOut 0.80  noseSneerRight 0.78" in out


def test_nobody_in_the_picture_is_shown(
    publisher: Publisher, golden: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with streaming(publisher, lambda index: golden.make_result(index=index)):
        assert main(["listen", "--connect", publisher.endpoint, "--count", "1", "--timeout", "5"]) == 0
    assert "no face" in capsys.readouterr().out


def test_nothing_within_the_timeout_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert main(["listen", "--connect", "tcp://127.0.0.1:1", "--timeout", "0.7"]) == 1
    assert 0.7 <= time.monotonic() - started < 3
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "waiting for a tracker at tcp://127.0.0.1:1 (Ctrl-C leaves)"
    assert err[1].startswith("tracker: nothing came from tcp://127.0.0.1:1 within 0.7 s: start a tracker there")
    assert len(err) == 2


def test_saved_takes_hold_what_was_published(
    tmp_path: Path, free_ports: PublishConfig, golden: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_face_model()
    params = dataclasses.replace(golden.make_params(0.25), expression=golden.ramp(model.expression_count, 0, 1 / 64))
    face = dataclasses.replace(
        golden.make_face(), params=params, raw=params, identity=golden.ramp(model.identity_count, -0.5, 1 / 128)
    )
    config = dataclasses.replace(free_ports, with_raw=True, with_landmarks=True)
    publisher = Publisher(config, describe_model(model))
    take_file = tmp_path / "take.npz"

    def make(index: int) -> FrameResult:
        return dataclasses.replace(golden.make_result(face, index=index), clock="media")  # type: ignore[no-any-return]

    with streaming(publisher, make, frames=100):
        arguments = ["listen", "--connect", publisher.endpoint, "--save", str(take_file), "--until-end"]
        assert main([*arguments, "--timeout", "5"]) == 0
    take = read_take(take_file)
    err = capsys.readouterr().err
    assert "the tracker has ended its stream" in err and "0 lost on the way" in err
    assert len(take) >= 50 and take.complete
    results = list(take)
    assert [result.index for result in results] == list(range(results[0].index, 100))
    (seen,) = results[-1].faces
    np.testing.assert_array_equal(seen.params.expression, params.expression)
    np.testing.assert_array_equal(seen.identity, face.identity)
    np.testing.assert_array_equal(seen.landmarks.points[:, :2], face.landmarks.points[:, :2])


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_keeps_what_was_saved(tmp_path: Path, free_ports: PublishConfig, golden: ModuleType) -> None:
    model = load_face_model()
    params = dataclasses.replace(golden.make_params(0.25), expression=golden.ramp(model.expression_count, 0, 1 / 64))
    face = dataclasses.replace(
        golden.make_face(), params=params, raw=params, identity=golden.ramp(model.identity_count)
    )
    take_file = tmp_path / "take.npz"
    with (
        Publisher(free_ports, describe_model(model)) as publisher,
        streaming(publisher, lambda index: golden.make_result(face, index=index)),
    ):
        command = [sys.executable, "-m", "tracker", "listen", "--connect", publisher.endpoint, "--save", str(take_file)]
        listener = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert listener.stdout is not None
        for _ in range(5):
            assert listener.stdout.readline()
        listener.send_signal(signal.SIGINT)
        _, err = listener.communicate(timeout=10)
    assert listener.returncode == 130
    assert "Traceback" not in err and "saved " in err
    assert len(read_take(take_file)) >= 5


def test_a_stream_of_another_model_is_not_saved(
    tmp_path: Path,
    publisher: Publisher,
    one_face: Callable[[int], FrameResult],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with streaming(publisher, one_face):
        arguments = ["listen", "--connect", publisher.endpoint, "--save", str(tmp_path / "a.npz"), "--timeout", "5"]
        assert main(arguments) == 1
        assert "the face model 'golden-head' (sha256 00000000) is not here" in capsys.readouterr().err
        assert main([*arguments, "--face-model", "builtin"]) == 1
        assert "the stream's face model is golden-head" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count must be at least 1, got 0"),
        (["--timeout", "-1"], "--timeout must be above 0, got -1"),
        (["--all"], "--all adds to what --json prints"),
        (["--latest", "--save", "x.npz"], "--latest skips frames"),
        (["--connect", "nowhere"], "--connect takes tcp://HOST:PORT"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_wrong_port_is_explained(
    publisher: Publisher, one_face: Callable[[int], FrameResult], capsys: pytest.CaptureFixture[str]
) -> None:
    assert publisher.latest_endpoint is not None
    with streaming(publisher, one_face):
        assert main(["listen", "--connect", publisher.latest_endpoint, "--timeout", "5"]) == 1
    assert "check the port (main 5556, latest-only 5558)" in capsys.readouterr().err


def test_control_prints_the_answer(publisher: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    def echo(request: dict[str, Any]) -> dict[str, Any]:
        return {"n": request["n"], "name": request["name"]}

    with ControlServer("tcp://127.0.0.1:0", {"schema": lambda _: publisher.schema, "echo": echo}) as server:
        assert main(["control", "schema", "--connect", server.endpoint]) == 0
        assert json.loads(capsys.readouterr().out)["model"]["name"] == "golden-head"
        assert main(["control", "echo", "n=3", "name=a b", "--connect", server.endpoint]) == 0
        assert json.loads(capsys.readouterr().out) == {"n": 3, "name": "a b"}
        assert main(["control", "time", "--connect", server.endpoint]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert abs(answer["offset_ms"]) <= answer["roundtrip_ms"] / 2
        assert main(["control", "jump", "--connect", server.endpoint]) == 1
        assert "unknown cmd 'jump': expected one of echo, schema, time, version" in capsys.readouterr().err


def test_control_with_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "stop", "--connect", "127.0.0.1:1", "--timeout", "0.2"]) == 1
    assert "no tracker answered at tcp://127.0.0.1:1 within 0.2 s: start one with" in capsys.readouterr().err


def test_control_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "stop", "--timeout", "0"]) == 2
    assert main(["control", "stop", "now"]) == 2
    assert "a request takes KEY=VALUE, got 'now'" in capsys.readouterr().err
    assert main(["control", "calibrate", "now"]) == 2
    assert "calibrate takes off, status or gaze=true, got 'now'" in capsys.readouterr().err


def test_the_line_of_a_face_tells_how_much_of_it_is_hidden(golden: ModuleType) -> None:
    (face,) = decode_frame(golden.golden_packets()["wire_frame_visibility.bin"])["faces"]
    assert "hidden 67%" in face_line(face)
    assert "hidden" not in face_line({**face, "visibility": np.ones(3, np.float32)})


def test_received_frames_become_frame_results(golden: ModuleType) -> None:
    packets = golden.golden_packets()
    frame = decode_frame(packets["wire_frame_raw_landmarks.bin"])
    schema = decode_schema(packets["wire_schema.bin"])
    result = to_frame_result(frame, schema, {1: KnownIdentity(2, golden.ramp(4))})
    original = golden.make_result(golden.make_face(), golden.make_face(2, tracked=False))
    assert result.rate == original.rate and result.camera == original.camera
    assert result.pts_s == original.pts_s
    del frame["timecode"]
    without = to_frame_result(frame, schema, {})
    assert without.rate is None and without.pts_s == Fraction(frame["t_capture"], 10**9)
    first, second = result.faces
    assert first.identity_version == 2 and second.identity_version == 0
    np.testing.assert_array_equal(second.identity, np.zeros(4))
    np.testing.assert_array_equal(first.raw.expression, original.faces[0].raw.expression)
    np.testing.assert_array_equal(first.landmarks.points[:, :2], original.faces[0].landmarks.points[:, :2])
    assert (first.residual_px, first.age, second.tracked) == (0.75, 12, False)
