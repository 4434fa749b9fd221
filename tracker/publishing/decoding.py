"""Wire messages back to plain dicts with arrays (the form is described in ``wire``); everything is checked, nothing trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import PublishError
from tracker.publishing.schema import WIRE_VERSION
from tracker.publishing.wire import TOPIC_EVENT, TOPIC_FRAME, TOPIC_IDENTITY, TOPIC_SCHEMA, TOPIC_STATUS
from tracker.srgb import LINEAR
from tracker.types import PARAM_SIZES, Float32
from tracker.unit_codes import from_unit_codes

_CLOCKS: Final = ("CLOCK_MONOTONIC", "media")


class _Reader:
    """Typed access to one map of a message, with the path to it for error messages."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise PublishError(f"{path} is unreadable: expected a map, got {_kind(value)}")
        self.map: dict[str, Any] = value
        self.path = path

    def fail(self, key: str, problem: str) -> PublishError:
        return PublishError(f"{self.path} is unreadable: {key} {problem}")

    def require(self, key: str) -> Any:
        if key not in self.map:
            raise self.fail(key, "is missing")
        return self.map[key]

    def integer(self, key: str, *, signed: bool = False) -> int:
        value = self.require(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fail(key, f"should be an integer, got {_kind(value)}")
        if value < 0 and not signed:
            raise self.fail(key, f"should not be negative, got {value}")
        return value

    def number(self, key: str) -> float:
        value = self.require(key)
        if not _is_number(value):
            raise self.fail(key, f"should be a finite number, got {_kind(value)}")
        return float(value)

    def boolean(self, key: str) -> bool:
        value = self.require(key)
        if not isinstance(value, bool):
            raise self.fail(key, f"should be true or false, got {_kind(value)}")
        return value

    def text(self, key: str) -> str:
        value = self.require(key)
        if not isinstance(value, str):
            raise self.fail(key, f"should be a string, got {_kind(value)}")
        return value

    def numbers(self, key: str, count: int) -> list[Any]:
        value = self.require(key)
        if not isinstance(value, list) or len(value) != count or not all(_is_number(item) for item in value):
            raise self.fail(key, f"should be a list of {count} finite numbers, got {_kind(value)}")
        return value

    def names(self, key: str) -> list[str]:
        value = self.require(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, f"should be a list of strings, got {_kind(value)}")
        return value

    def maps(self, key: str) -> list[_Reader]:
        value = self.require(key)
        if not isinstance(value, list):
            raise self.fail(key, f"should be a list, got {_kind(value)}")
        return [_Reader(item, f"{self.path} {key}[{index}]") for index, item in enumerate(value)]

    def child(self, key: str) -> _Reader:
        return _Reader(self.require(key), f"{self.path} {key}")

    def array(self, key: str, *shape: int) -> Float32:
        """A float32 blob as an array; -1 in ``shape`` is free. The array is a read-only view of the message."""
        blob = self.require(key)
        if not isinstance(blob, bytes):
            raise self.fail(key, f"should be a float32 blob, got {_kind(blob)}")
        unit = math.prod(size for size in shape if size >= 0)
        if len(blob) % (4 * unit) or (-1 not in shape and len(blob) != 4 * unit):
            expected = f"a multiple of {4 * unit}" if -1 in shape else f"{4 * unit}"
            raise self.fail(key, f"should have {expected} bytes, got {len(blob)}")
        array: Float32 = np.frombuffer(blob, dtype="<f4").reshape(shape)
        if not np.isfinite(array).all():
            raise self.fail(key, "holds NaN or infinity, which are forbidden")
        return array

    def codes(self, key: str, count: int | None = None) -> NDArray[np.uint8]:
        """A blob of bytes as an array of numbers in 0..255."""
        blob = self.require(key)
        if not isinstance(blob, bytes):
            raise self.fail(key, f"should be a blob of bytes, got {_kind(blob)}")
        if count is not None and len(blob) != count:
            raise self.fail(key, f"should have {count} bytes, got {len(blob)}")
        return np.frombuffer(blob, np.uint8)


def decode_frame(payload: bytes | memoryview) -> dict[str, Any]:
    """A ``face/frame/`` payload as a plain dict with arrays. Unknown keys are kept as they came.

    Raises:
        PublishError: the payload is truncated, of another version, or a field is missing or of the wrong type or size.
    """
    frame = _unpack(payload, "face/frame/")
    for key in ("schema", "seq", "frame"):
        frame.integer(key)
    for key in ("t_capture", "t_publish", "t_unix"):
        frame.integer(key, signed=True)
    frame.text("stream")
    if frame.text("clock") not in _CLOCKS:
        raise frame.fail("clock", f"should be one of {', '.join(_CLOCKS)}, got {frame.map['clock']!r}")
    if "timecode" in frame.map:
        timecode = frame.numbers("timecode", 4)
        if not all(isinstance(timecode[index], int) for index in (0, 2, 3)) or timecode[3] <= 0:
            raise frame.fail("timecode", "should be [frame, subframe, numerator, denominator]")
    if not all(isinstance(size, int) and size > 0 for size in frame.numbers("image", 2)):
        raise frame.fail("image", f"should be [width, height] in pixels, got {frame.map['image']}")
    frame.boolean("mirrored")
    frame.map["K"] = frame.array("K", 3, 3)
    for face in frame.maps("faces"):
        _decode_face(face)
    return frame.map


def decode_identity(payload: bytes | memoryview) -> dict[str, Any]:
    """A ``face/identity/`` payload as a plain dict with arrays. Raises PublishError when unreadable."""
    message = _unpack(payload, "face/identity/")
    message.text("stream")
    message.integer("seq")
    for face in message.maps("faces"):
        face.integer("id")
        face.integer("version")
        face.map["shape"] = face.array("shape", -1)
        if "sigma" in face.map:
            face.map["sigma"] = face.array("sigma", len(face.map["shape"]))
            face.number("confidence")
            face.boolean("frozen")
            face.integer("keyframes")
        if "albedo" in face.map:
            albedo = face.child("albedo")
            albedo.integer("version")
            albedo.number("coverage")
            seen = albedo.codes("seen")
            albedo.map["seen"] = from_unit_codes(seen)
            albedo.map["points"] = LINEAR[albedo.codes("points", 3 * seen.size)].reshape(-1, 3)
    return message.map


def decode_schema(payload: bytes | memoryview) -> dict[str, Any]:
    """A ``face/schema/`` payload as a plain dict. Raises PublishError when unreadable."""
    message = _unpack(payload, "face/schema/")
    message.integer("schema")
    if len(message.names("arkit_names")) != len(ARKIT_NAMES):
        raise message.fail("arkit_names", f"should be {len(ARKIT_NAMES)} names, got {len(message.map['arkit_names'])}")
    message.names("regions")
    model = message.child("model")
    model.text("name")
    model.text("sha256")
    model.integer("identity_dim")
    model.names("expression_names")
    if "albedo" in message.map:
        albedo = message.child("albedo")
        blob = albedo.codes("uv", 4 * albedo.integer("points"))
        albedo.map["uv"] = (blob.view("<u2") / np.float32(65535.0)).astype(np.float32).reshape(-1, 2)
    return message.map


def decode_event(payload: bytes | memoryview) -> dict[str, Any]:
    """A ``face/event/`` payload as a plain dict. Raises PublishError when unreadable."""
    message = _unpack(payload, "face/event/")
    message.text("event")
    message.text("stream")
    return message.map


def decode_status(payload: bytes | memoryview) -> dict[str, Any]:
    """A ``face/status/`` payload as a plain dict. Raises PublishError when unreadable."""
    message = _unpack(payload, "face/status/")
    message.text("stream")
    return message.map


_DECODERS: Final[Mapping[bytes, Callable[[bytes | memoryview], dict[str, Any]]]] = {
    TOPIC_FRAME: decode_frame,
    TOPIC_SCHEMA: decode_schema,
    TOPIC_IDENTITY: decode_identity,
    TOPIC_EVENT: decode_event,
    TOPIC_STATUS: decode_status,
}


def decode_message(topic: bytes, payload: bytes | memoryview) -> dict[str, Any] | None:
    """The payload of a message on any known topic; None for topics that this version does not know.

    Raises:
        PublishError: the payload is unreadable.
    """
    decoder = _DECODERS.get(topic)
    return None if decoder is None else decoder(payload)


def _decode_face(face: _Reader) -> None:
    face.integer("id")
    face.integer("age")
    face.boolean("tracked")
    face.number("confidence")
    face.numbers("bbox", 4)
    if "residual_px" in face.map:
        face.number("residual_px")
    _decode_params(face.child("params"))
    _decode_arrays(face.child("head"), {"position": (3,), "quaternion": (4,)})
    _decode_arrays(face.child("gaze"), {"left": (2,), "right": (2,)})
    _decode_arrays(face, {"arkit": (len(ARKIT_NAMES),)})
    if "raw" in face.map:
        raw = face.child("raw")
        _decode_params(raw.child("params"))
        if "arkit" in raw.map:
            _decode_arrays(raw, {"arkit": (len(ARKIT_NAMES),)})
    if "landmarks" in face.map:
        _decode_arrays(face, {"landmarks": (-1, 2), "sigma": (-1,)})
        if len(face.map["landmarks"]) != len(face.map["sigma"]):
            raise face.fail("sigma", f"has {len(face.map['sigma'])} entries for {len(face.map['landmarks'])} landmarks")
        if "visibility" in face.map:
            face.map["visibility"] = from_unit_codes(face.codes("visibility", len(face.map["landmarks"])))
    if "light" in face.map:
        light = face.child("light")
        _decode_arrays(light, {"sh": (27,)})
        light.number("exposure")
        if "white_balance" in light.map:
            _decode_arrays(light, {"white_balance": (3,)})
    if "occlusion" in face.map:
        occlusion = face.child("occlusion")
        occlusion.number("fraction")
        _decode_arrays(occlusion, {"regions": (-1,)})


def _decode_params(params: _Reader) -> None:
    _decode_arrays(params, {name: (-1 if size is None else size,) for name, size in PARAM_SIZES.items()})


def _decode_arrays(reader: _Reader, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for key, shape in shapes.items():
        reader.map[key] = reader.array(key, *shape)


def _unpack(payload: bytes | memoryview, topic: str) -> _Reader:
    where = f"a {topic} message"
    try:
        value = msgpack.unpackb(payload, raw=False)
    # msgpack reports damage by ValueError subclasses, a map key of an unhashable type by TypeError,
    # and an extension timestamp out of range by OverflowError.
    except (ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PublishError(f"{where} of {len(payload)} bytes is unreadable: damaged msgpack ({reason})") from error
    message = _Reader(value, where)
    version = message.integer("v")
    if version != WIRE_VERSION:
        raise PublishError(
            f"{where} has version {version}, this program reads version {WIRE_VERSION}: update the older side"
        )
    return message


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: object) -> str:
    if isinstance(value, (bool, int, float)) or value is None:
        return f"{value}"[:40]
    if isinstance(value, (str, bytes, list, dict)):
        return f"{type(value).__name__} of length {len(value)}"
    return type(value).__name__
