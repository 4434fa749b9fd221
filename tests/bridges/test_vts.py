"""VTube Studio's plugin session against a server that follows its public API, refusals and restarts included."""

from __future__ import annotations

import json
import random
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridges.conftest import MakeFace
from tracker.bridges import BridgeSpec, vts_protocol
from tracker.bridges.bridge import BridgeFrame
from tracker.bridges.worker import BridgeWorker
from tracker.errors import PublishError

pytest.importorskip(
    "websockets", reason="the library that the bridge speaks through: pip install 'facestream-tracker[vts]'"
)

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tracker.bridges.vts import VtsBridge

Frames = Callable[..., BridgeFrame]


class Studio:
    """The documented behaviour: tokens, sessions, parameters, numbered errors."""

    def __init__(self, port: int = 0) -> None:
        self.allow = True
        self.tokens = {"granted-before"}
        self.injected: list[dict[str, Any]] = []
        self.created: list[str] = []
        self.kinds: list[str] = []
        self.other_plugin = False
        self.silent = False
        self.connections: list[ServerConnection] = []
        self._server: Server = serve(self._handle, "127.0.0.1", port)
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        for connection in self.connections:
            connection.close()
        self._thread.join()

    def _handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        session: dict[str, bool] = {}
        try:
            for text in connection:
                request = json.loads(text)
                assert request["apiName"] == "VTubeStudioPublicAPI" and request["apiVersion"] == "1.0"
                self.kinds.append(request["messageType"])
                if self.silent:
                    continue
                kind, data = self._answer(request["messageType"], request["data"], session)
                answer = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "timestamp": 1625405710728,
                          "requestID": request["requestID"], "messageType": kind, "data": data, "newField": [1]}  # fmt: skip
                connection.send(json.dumps(answer))
        except ConnectionClosed:
            pass

    def _answer(self, kind: str, data: dict[str, Any], session: dict[str, bool]) -> tuple[str, dict[str, Any]]:
        def error(number: int, message: str) -> tuple[str, dict[str, Any]]:
            return "APIError", {"errorID": number, "message": message}

        if kind == "AuthenticationTokenRequest":
            if not self.allow:
                return error(50, "User has denied API access for your plugin.")
            self.tokens.add("fresh-token")
            return "AuthenticationTokenResponse", {"authenticationToken": "fresh-token"}
        if kind == "AuthenticationRequest":
            session["in"] = data["authenticationToken"] in self.tokens
            return "AuthenticationResponse", {"authenticated": session["in"], "reason": "as the token says"}
        if not session.get("in"):
            return error(8, "This request requires authentication.")
        if kind == "ParameterCreationRequest":
            self.created.append(data["parameterName"])
            if data["parameterName"] == "JawOpen":
                return error(352, "Parameter was created by other plugin.")
            return "ParameterCreationResponse", {"parameterName": data["parameterName"]}
        assert kind == "InjectParameterDataRequest" and data["parameterValues"]
        if self.other_plugin:
            return error(454, "Parameter FaceAngleX is controlled by plugin Mouse.")
        self.injected.append(data)
        return "InjectParameterDataResponse", {}


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.close()


def wait_for(condition: Callable[[], object], worker: BridgeWorker, frame: BridgeFrame) -> None:
    """Offer frames until something holds."""
    deadline_s = time.monotonic() + 6.0
    while not condition():
        assert time.monotonic() < deadline_s, "nothing happened"
        worker.offer(frame)
        time.sleep(0.01)


def test_a_user_is_asked_once(studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path) -> None:
    token_file = tmp_path / "tokens" / "vts.json"
    frame = as_frame(posed_face(yaw=0.3, jawOpen=0.5))
    for round_ in range(2):
        bridge = VtsBridge("127.0.0.1", studio.port, token_file=token_file)
        with BridgeWorker(bridge) as worker:
            count = len(studio.injected)
            wait_for(lambda count=count: len(studio.injected) > count + 3, worker, frame)  # type: ignore[misc]
        assert studio.kinds.count("AuthenticationTokenRequest") == 1, round_
    assert json.loads(token_file.read_text()) == {"token": "fresh-token"}
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert list(token_file.parent.iterdir()) == [token_file]
    values = {item["id"]: item["value"] for item in studio.injected[-1]["parameterValues"]}
    assert values["FaceAngleX"] == pytest.approx(17.19, abs=0.01) and values["MouthOpen"] == 0.5
    assert studio.injected[-1]["faceFound"] is True and not studio.created


def test_a_face_that_is_gone_is_kept_alive_as_gone(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=tmp_path / "t.json")) as worker:
        wait_for(lambda: studio.injected, worker, as_frame(posed_face()))
        wait_for(lambda: not studio.injected[-1]["faceFound"], worker, as_frame())
        count, began_s = len(studio.injected), time.monotonic()
        while len(studio.injected) < count + 3:
            # VTube Studio forgets parameters after a second.
            assert time.monotonic() - began_s < 3.0
            time.sleep(0.02)
        assert studio.injected[-1]["parameterValues"]


def test_custom_parameters_are_made_and_fed(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, custom=True, token_file=tmp_path / "t.json")) as worker:
        wait_for(lambda: len(studio.injected) > 2, worker, as_frame(posed_face(eyeBlinkLeft=0.75)))
    assert len(studio.created) == 50 and "EyeBlinkLeft" in studio.created
    values = {item["id"]: item["value"] for item in studio.injected[-1]["parameterValues"]}
    # One that another plugin made first is fed all the same.
    assert values["EyeBlinkLeft"] == 0.75 and values["JawOpen"] == 0.0
    assert not {"TongueOut", "CheekPuff"} & set(studio.created)


def test_a_refusal_is_told_and_not_repeated(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    studio.allow = False
    told: list[str] = []
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=tmp_path / "t.json"), told.append) as worker:
        wait_for(lambda: any("has said no" in line for line in told), worker, as_frame(posed_face()))
        for _ in range(30):
            worker.offer(as_frame(posed_face()))
            time.sleep(0.01)
    assert studio.kinds == ["AuthenticationTokenRequest"] and not studio.injected
    assert len(told) <= 2 and all("\n" not in line for line in told)


def test_a_permission_that_was_taken_back_is_asked_for_again(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    token_file = tmp_path / "t.json"
    token_file.write_text('{"token": "of-another-time"}')
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=token_file)) as worker:
        wait_for(lambda: studio.injected, worker, as_frame(posed_face()))
    assert studio.kinds[:3] == ["AuthenticationRequest", "AuthenticationTokenRequest", "AuthenticationRequest"]
    assert json.loads(token_file.read_text())["token"] == "fresh-token"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"token": 3}', "\x00\xff"])
def test_a_damaged_token_file_is_as_none(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path, content: str
) -> None:
    (tmp_path / "t.json").write_text(content)
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=tmp_path / "t.json")) as worker:
        wait_for(lambda: studio.injected, worker, as_frame(posed_face()))


def test_another_plugin_in_control_is_told_once(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    told: list[str] = []
    studio.other_plugin = True
    with BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=tmp_path / "t.json"), told.append) as worker:
        wait_for(lambda: any("Mouse" in line for line in told), worker, as_frame(posed_face()))
        studio.other_plugin = False
        wait_for(lambda: any("sending again" in line for line in told), worker, as_frame(posed_face()))
    assert len([line for line in told if "Mouse" in line]) == 1


def test_an_app_that_restarts_is_found_again(posed_face: MakeFace, as_frame: Frames, tmp_path: Path) -> None:
    told: list[str] = []
    first = Studio()
    port = first.port
    with BridgeWorker(VtsBridge("127.0.0.1", port, token_file=tmp_path / "t.json"), told.append) as worker:
        frame = as_frame(posed_face())
        wait_for(lambda: first.injected, worker, frame)
        first.close()
        wait_for(lambda: any("closed the connection" in line for line in told), worker, frame)
        second = Studio(port)
        second.tokens.add("fresh-token")
        wait_for(lambda: second.injected, worker, frame)
        second.close()
    assert len(told) <= 8


def test_an_app_that_is_not_running_is_one_line_and_ends_at_once(
    posed_face: MakeFace, as_frame: Frames, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told: list[str] = []
    worker = BridgeWorker(VtsBridge("127.0.0.1", port, token_file=tmp_path / "t.json"), told.append)
    for _ in range(30):
        worker.offer(as_frame(posed_face()))
        time.sleep(0.01)
    began_s = time.monotonic()
    worker.close()
    assert time.monotonic() - began_s < 2.5
    (line,) = told
    assert f"127.0.0.1:{port}" in line and "allow plugins" in line and line.endswith("still trying")


def test_an_app_that_hangs_is_left_and_does_not_hold_the_end(
    studio: Studio, posed_face: MakeFace, as_frame: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.bridges.vts._SILENCE_S", 0.3)
    told: list[str] = []
    worker = BridgeWorker(VtsBridge("127.0.0.1", studio.port, token_file=tmp_path / "t.json"), told.append)
    frame = as_frame(posed_face())
    wait_for(lambda: studio.injected, worker, frame)
    studio.silent = True
    wait_for(lambda: any("stopped answering" in line for line in told), worker, frame)
    began_s = time.monotonic()
    worker.close()
    assert time.monotonic() - began_s < 2.5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bridge")]


def test_an_unknown_machine_and_a_missing_package_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PublishError, match="cannot find a machine"):
        VtsBridge("no-such-host.invalid", 8001)
    monkeypatch.setitem(__import__("sys").modules, "websockets.sync.client", None)
    with pytest.raises(PublishError, match=r"pip install 'facestream-tracker\[vts\]'"):
        BridgeSpec.parse("vts").entry.open(BridgeSpec.parse("vts"))


ANSWER = json.dumps({"apiName": "VTubeStudioPublicAPI", "messageType": "APIError", "requestID": "face",
                     "data": {"errorID": 50, "message": "User has denied\nAPI access"}})  # fmt: skip


def test_answers() -> None:
    answer = vts_protocol.parse(ANSWER)
    assert answer is not None and answer.error_id == 50 and answer.text == "User has denied API access"
    granted = ANSWER.replace("APIError", "AuthenticationTokenResponse").replace('"message"', '"authenticationToken"')
    assert vts_protocol.parse(granted.replace("User has denied\\nAPI access", "abc")).token == "abc"  # type: ignore[union-attr]
    assert vts_protocol.parse(granted.replace("User has denied\\nAPI access", "a" * 300)).token is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7", '"text"', "{}", "[" * 100_000, ANSWER.replace("VTubeStudioPublicAPI", "Other"),
     ANSWER.replace('"APIError"', "3"), b"\xff\xfe"],
)  # fmt: skip
def test_what_is_no_answer(text: str | bytes) -> None:
    assert vts_protocol.parse(text) is None


def test_truncated_and_noisy_answers() -> None:
    for size in range(len(ANSWER)):
        assert vts_protocol.parse(ANSWER[:size]) is None
    generator = random.Random(3)
    for _ in range(5_000):
        noisy = bytearray(ANSWER.encode())
        for _ in range(generator.randint(1, 8)):
            noisy[generator.randrange(len(noisy))] = generator.randrange(256)
        answer = vts_protocol.parse(bytes(noisy))
        if answer is not None:
            assert isinstance(answer.text, str) and isinstance(answer.error_id, int | None)
            assert answer.token is None or isinstance(answer.token, str)
    wrong = json.dumps({"apiName": "VTubeStudioPublicAPI", "messageType": "APIError", "data": {"errorID": "x"}})
    assert vts_protocol.parse(wrong).error_id == -1  # type: ignore[union-attr]
