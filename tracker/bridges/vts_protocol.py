"""VTube Studio's public API: requests as JSON texts, and what its answers mean.

Every message is a map with ``apiName``, ``apiVersion``, ``requestID``, ``messageType`` and ``data``. An error is a message of
type ``APIError`` whose data hold ``errorID`` and ``message``. The numbers used here are of its ``ErrorID.cs``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

API: Final = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0"}
PLUGIN: Final = {"pluginName": "Face tracker", "pluginDeveloper": "facestream-tracker"}
MUST_AUTHENTICATE: Final = 8
DENIED: Final = 50
ALREADY_ASKING: Final = 51
CONTROLLED_BY_ANOTHER: Final = 454
CREATION_ID: Final = "create"
_LONGEST_TOKEN = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of VTube Studio."""

    kind: str
    """``messageType`` without ``Response``, or ``APIError``."""
    data: Mapping[str, Any]
    request_id: str = ""

    @property
    def error_id(self) -> int | None:
        """The number of an error, None for anything else; -1 for an error without a number."""
        if self.kind != "APIError":
            return None
        number = self.data.get("errorID")
        return number if isinstance(number, int) and not isinstance(number, bool) else -1

    @property
    def text(self) -> str:
        """What an error or a refusal says, in one line."""
        said = self.data.get("message", self.data.get("reason", ""))
        return " ".join(said.split())[:200] if isinstance(said, str) else ""

    @property
    def token(self) -> str | None:
        """The token that was granted."""
        token = self.data.get("authenticationToken")
        return token if isinstance(token, str) and 0 < len(token) <= _LONGEST_TOKEN and token.isascii() else None


def request(kind: str, data: Mapping[str, Any], request_id: str = "face") -> str:
    """A request of ``messageType`` ``{kind}Request``."""
    return json.dumps({**API, "requestID": request_id, "messageType": f"{kind}Request", "data": data})


def token_request() -> str:
    """Ask the user, in VTube Studio's window, for a token."""
    return request("AuthenticationToken", PLUGIN)


def authentication_request(token: str) -> str:
    """Begin a session with the token."""
    return request("Authentication", {**PLUGIN, "authenticationToken": token})


def creation_request(parameter: str, explanation: str) -> str:
    """Make a custom parameter of 0..1, or take over our own of that name."""
    return request(
        "ParameterCreation",
        {"parameterName": parameter, "explanation": explanation, "min": 0, "max": 1, "defaultValue": 0},
        CREATION_ID,
    )


def injection_request(values: Mapping[str, float], *, face_found: bool) -> str:
    """Set parameters. They fall back to the app's own tracking when a second passes without."""
    # By hand: this is said a hundred times a second, and names are letters and digits.
    items = ",".join(f'{{"id":"{name}","value":{value:.5f}}}' for name, value in values.items())
    return f'{_INJECTION}{{"faceFound":{json.dumps(face_found)},"mode":"set","parameterValues":[{items}]}}}}'


INJECTED: Final = Answer("InjectParameterData", {})


def is_injected(text: str | bytes) -> bool:
    """Whether an answer says that parameters were set, without taking it apart: it comes a hundred times a second."""
    return isinstance(text, str) and len(text) < 512 and '"messageType":"InjectParameterDataResponse"' in text


_INJECTION: Final = request("InjectParameterData", {}).removesuffix("{}}")


def parse(text: str | bytes) -> Answer | None:
    """An answer, or None for what is none: not JSON, not a map, another API."""
    try:
        message = json.loads(text)
    # RecursionError: thousands of opening brackets.
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("apiName") != API["apiName"]:
        return None
    kind, data, request_id = (message.get(key) for key in ("messageType", "data", "requestID"))
    if not isinstance(kind, str):
        return None
    return Answer(kind.removesuffix("Response"), data if isinstance(data, dict) else {}, str(request_id))
