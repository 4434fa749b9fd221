"""VTube Studio's plugin API (WebSocket, JSON).

The first time, VTube Studio asks its user whether the plugin may control it and hands out a token, which is kept in the user's
data folder, readable by them alone; from then on the session begins with that token. Nothing here waits: every frame looks once
at what has come and sends what is due, so a user who takes minutes to answer, or an app that is not running, delays nobody.
While the face is gone the last values are kept alive with ``faceFound`` false, since VTube Studio forgets parameters after a
second.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracker.bridges import vts_protocol as protocol
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame, Float64
from tracker.bridges.options import one_of
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import resolve
from tracker.bridges.vts_parameters import CUSTOM, custom_values, resting_place, standard_values
from tracker.cache import data_dir
from tracker.errors import PublishError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_RETRY_S = 2.0
_OPEN_TIMEOUT_S = 1.0
_SILENCE_S = 5.0
_MOST_UNANSWERED = 4
_State = Literal["offline", "asking", "authenticating", "ready", "denied"]


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``parameters``."""
    return VtsBridge(spec.host, spec.port, custom=one_of(spec, "parameters", ("standard", "arkit")) == "arkit")


class VtsBridge(Bridge):
    """A plugin session that is opened, authenticated and reopened as needed.

    Args:
        host: where VTube Studio runs.
        port: of its API.
        custom: also create and feed a parameter for each ARKit weight that VTube Studio does not know.
        token_file: where the token is kept; by default in the user's data folder.

    Raises:
        PublishError: the package websockets is not installed, or the host is unknown.
    """

    keep_alive_s = 0.4

    def __init__(self, host: str, port: int, *, custom: bool = False, token_file: Path | None = None) -> None:
        try:
            from websockets.sync.client import connect
        except ImportError as error:
            raise PublishError(
                "the bridge vts needs the package websockets: pip install 'facestream-tracker[vts]'"
            ) from error
        resolve(host, port)
        self._connect = connect
        self._address = f"{host}:{port}"
        self._url = f"ws://[{host}]:{port}" if ":" in host else f"ws://{self._address}"
        self._custom = custom
        self._token_file = token_file or data_dir("vts", f"{host.replace(':', '_')}-{port}.json")
        self._socket: ClientConnection | None = None
        self._session = ExitStack()
        self._state: _State = "offline"
        self._trouble = ""
        self._next_try_s = 0.0
        self._unanswered = 0
        self._heard_s = 0.0
        self._rest: Float64 | None = None
        self._values: dict[str, float] = {}

    @property
    def target(self) -> str:
        return f"vts to {self._address}"

    def send(self, frame: BridgeFrame) -> None:
        if frame.main is not None and frame.tracked:
            self._values = self._of(frame.main)
        self._inject(face_found=frame.tracked)

    def keep_alive(self) -> None:
        self._inject(face_found=False)

    def close(self) -> None:
        self._socket = None
        self._session.close()

    def _of(self, face: BridgeFace) -> dict[str, float]:
        if self._rest is None:
            self._rest = resting_place(face)
        values = standard_values(face, self._rest)
        return values | custom_values(face) if self._custom else values

    def _inject(self, *, face_found: bool) -> None:
        self._advance()
        if self._state != "ready" or not self._values:
            return
        if self._unanswered >= _MOST_UNANSWERED:
            if time.monotonic() - self._heard_s > _SILENCE_S:
                self._drop(f"VTube Studio at {self._address} has stopped answering")
            return
        self._say(protocol.injection_request(self._values, face_found=face_found))

    def _advance(self) -> None:
        """Connect if need be and take in what has come. Raises PublishError while it is not possible to send."""
        if self._socket is None:
            if time.monotonic() >= self._next_try_s:
                self._open()
        else:
            self._listen()
        if self._trouble:
            raise PublishError(self._trouble)

    def _open(self) -> None:
        from websockets.exceptions import WebSocketException

        self._next_try_s = time.monotonic() + _RETRY_S
        try:
            connection = self._connect(
                self._url,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=0.2,
                compression=None,
                proxy=None,
                max_size=1 << 20,
            )
            self._socket = self._session.enter_context(connection)
        except (OSError, WebSocketException) as error:
            self._trouble = (
                f"VTube Studio does not answer at {self._address} ({_reason(error)}): start it and switch on "
                "'Start API (allow plugins)' in its settings"
            )
            return
        self._unanswered, self._heard_s = 0, time.monotonic()
        token = self._read_token()
        if token is None:
            self._ask()
        else:
            self._state, self._trouble = "authenticating", ""
            self._say(protocol.authentication_request(token))

    def _ask(self) -> None:
        self._state = "asking"
        self._trouble = f"VTube Studio asks whether '{protocol.PLUGIN['pluginName']}' may control it: click Allow there"
        self._say(protocol.token_request())

    def _listen(self) -> None:
        from websockets.exceptions import ConnectionClosed

        while self._socket is not None:
            try:
                text = self._socket.recv(timeout=0)
            except TimeoutError:
                return
            except ConnectionClosed:
                self._drop(f"VTube Studio at {self._address} has closed the connection")
                return
            answer = protocol.INJECTED if protocol.is_injected(text) else protocol.parse(text)
            if answer is not None:
                self._heard_s = time.monotonic()
                self._unanswered = max(0, self._unanswered - 1)
                self._take(answer)

    def _take(self, answer: protocol.Answer) -> None:
        error = answer.error_id
        if answer.kind == "AuthenticationToken" and answer.token is not None:
            self._write_token(answer.token)
            self._state, self._trouble = "authenticating", ""
            self._say(protocol.authentication_request(answer.token))
        elif answer.kind == "Authentication" and answer.data.get("authenticated") is True:
            self._state, self._trouble = "ready", ""
            for parameter in CUSTOM if self._custom else ():
                self._say(protocol.creation_request(parameter, "ARKit weight of the face tracker"))
        elif answer.kind == "Authentication" or error == protocol.MUST_AUTHENTICATE:
            # The user took the permission back, or the token is another installation's.
            self._token_file.unlink(missing_ok=True)
            self._ask()
        elif error == protocol.DENIED:
            self._token_file.unlink(missing_ok=True)
            self._state = "denied"
            self._drop("VTube Studio's user has said no to this plugin; start again to be asked again")
            self._next_try_s = float("inf")
        elif error == protocol.CONTROLLED_BY_ANOTHER:
            self._trouble = f"another plugin controls VTube Studio's face: {answer.text}"
        elif error == protocol.ALREADY_ASKING:
            self._trouble = "VTube Studio is asking about another plugin: answer there first"
            self._drop(self._trouble)
        elif answer.kind == "InjectParameterData":
            self._trouble = ""
        elif error is not None and answer.request_id != protocol.CREATION_ID:
            # A parameter that another plugin made first is fed as it is.
            self._trouble = f"VTube Studio says no ({error}): {answer.text}"

    def _say(self, text: str) -> None:
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            return
        try:
            self._socket.send(text)
        except (ConnectionClosed, OSError):
            self._drop(f"VTube Studio at {self._address} has closed the connection")
            return
        self._unanswered += 1

    def _drop(self, trouble: str) -> None:
        self._trouble = trouble
        self.close()
        if self._state != "denied":
            self._state = "offline"
        self._next_try_s = time.monotonic() + _RETRY_S

    def _read_token(self) -> str | None:
        try:
            token = json.loads(self._token_file.read_text(encoding="utf-8"))["token"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return token if isinstance(token, str) and token else None

    def _write_token(self, token: str) -> None:
        """Keep the token where only its owner can read it; without a place to keep it, VTube Studio will ask again."""
        draft = self._token_file.with_suffix(f".{os.getpid()}")
        try:
            self._token_file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump({"token": token}, file)
            draft.replace(self._token_file)
        except OSError:
            draft.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    said = str(getattr(error, "strerror", None) or error)
    return said.splitlines()[0] if said else type(error).__name__
