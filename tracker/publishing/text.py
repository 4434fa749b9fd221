"""Messages as text: JSON lines for programs, a short line for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.publishing import wire
from tracker.publishing.client import Message
from tracker.rotations import head_euler, matrix_from_quaternion
from tracker.types import HIDDEN_BELOW, KnownIdentity

_DECIMALS: Final = 6
"""Of metres, radians, weights and pixels in JSON: a micrometre, less than float32 resolves at arm's length."""
_SHOWN_EXPRESSIONS: Final = 3
_SHOWN_FROM: Final = 0.05
_COVERED_FROM: Final = 0.05


def json_line(message: Message, schema: Mapping[str, Any] | None) -> str:
    """A message as one line of JSON: its keys as on the wire, after ``topic``.

    Blobs become lists of numbers, and weights a map from name to weight; expressions only once the schema is known.
    """
    payload = dict(message.payload)
    if message.topic == wire.TOPIC_FRAME:
        payload["faces"] = [_named(face, schema) for face in payload["faces"]]
    line = {"topic": message.topic.decode(), **{key: _as_json(value) for key, value in payload.items()}}
    return json.dumps(line, ensure_ascii=False, allow_nan=False)


def face_line(face: Mapping[str, Any], identity: KnownIdentity | None = None) -> str:
    """A face of a decoded frame for people: id, head angles in degrees, distance, how well its shape is known, expressions.

    ``covered`` is the share of the skin that something is in front of, ``hidden`` that of the landmarks out of sight.
    """
    yaw, pitch, roll = (math.degrees(angle) for angle in head_euler(matrix_from_quaternion(face["head"]["quaternion"])))
    distance_m = float(np.linalg.norm(face["head"]["position"]))
    strongest = [
        f"{ARKIT_NAMES[index]} {face['arkit'][index]:.2f}"
        for index in np.argsort(-face["arkit"])[:_SHOWN_EXPRESSIONS]
        if face["arkit"][index] >= _SHOWN_FROM
    ]
    state = None if identity is None else identity.state
    # The dots say that it is still being learnt.
    known = "" if state is None else f"shape {state.confidence:.0%}{'' if state.frozen else '…'}  "
    covered = ""
    if "occlusion" in face and face["occlusion"]["fraction"] >= _COVERED_FROM:
        covered = f"covered {face['occlusion']['fraction']:.0%}  "
    hidden = ""
    if "visibility" in face and (share := float((face["visibility"] < HIDDEN_BELOW).mean())) >= _COVERED_FROM:
        hidden = f"hidden {share:.0%}  "
    lit = f"light {face['light']['exposure']:.2f}  " if "light" in face else ""
    held = "" if face["tracked"] else " (lost)"
    return (
        f"#{face['id']}{held}  yaw {yaw:+6.1f}°  pitch {pitch:+6.1f}°  roll {roll:+6.1f}°  {distance_m:.2f} m  "
        f"{known}{lit}{covered}{hidden}{'  '.join(strongest) or 'neutral'}"
    )


def _named(face: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    # The order of the 52 weights is the same for all of version 1 of the wire, so these names need no schema.
    named = {**face, "arkit": _weights(ARKIT_NAMES, face["arkit"]), "params": _named_params(face["params"], schema)}
    if "raw" in face:
        named["raw"] = {**face["raw"], "params": _named_params(face["raw"]["params"], schema)}
        if "arkit" in face["raw"]:
            named["raw"]["arkit"] = _weights(ARKIT_NAMES, face["raw"]["arkit"])
    return named


def _named_params(params: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    names = [] if schema is None else schema["model"]["expression_names"]
    if len(names) != len(params["expression"]):
        return params
    return {**params, "expression": _weights(names, params["expression"])}


def _weights(names: Sequence[str], values: Any) -> dict[str, float]:
    return dict(zip(names, _as_json(values), strict=True))


def _as_json(value: Any) -> Any:
    """The value as JSON can hold it, also under keys that we do not know: what has no JSON form becomes hex or text."""
    if isinstance(value, np.ndarray):
        return np.round(value.astype(np.float64), _DECIMALS).tolist()
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)
