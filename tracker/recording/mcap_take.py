"""Takes as MCAP, which Foxglove and robotics tools open: every frame as JSON, and views of it that they know how to draw.

Channels (all JSON with a JSON schema, ``log_time`` = capture time, ``publish_time`` = Unix time of capture):

- ``/take``: the frame as in a ``.jsonl`` take, from which the take can be read back whole;
- ``/tf`` (``foxglove.FrameTransforms``): every head in the camera's frame;
- ``/camera`` (``foxglove.CameraCalibration``): the camera, on change;
- ``/face_ID/arkit``: the 52 weights by name; ``/face_ID/state``: what there is to plot besides.

What the take says about itself is in the metadata records ``face-take`` and ``face-take-end``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

import tracker
from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.extras import require
from tracker.recording.header import TakeHeader
from tracker.recording.text import json_line
from tracker.rotations import head_euler, matrix_from_quaternion

MAGIC: Final = b"\x89MCAP0\r\n"
_START: Final = "face-take"
_END: Final = "face-take-end"
_TAKE_TOPIC: Final = "/take"
_PURPOSE: Final = "an .mcap take"
_LARGEST_RECORD: Final = 1 << 28
_CHUNK_BYTES: Final = 1 << 18

Schema = dict[str, Any]

_NUMBER: Final[Schema] = {"type": "number"}
_NUMBERS: Final[Schema] = {"type": "array", "items": _NUMBER}
_STAMP: Final[Schema] = {
    "type": "object",
    "title": "time",
    "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
}


def _map(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_XYZ: Final = _map(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_SCHEMAS: Final[dict[str, Schema]] = {
    "foxglove.FrameTransforms": _map(
        transforms={
            "type": "array",
            "items": _map(
                timestamp=_STAMP,
                parent_frame_id={"type": "string"},
                child_frame_id={"type": "string"},
                translation=_XYZ,
                rotation=_map(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER),
            ),
        }
    ),
    "foxglove.CameraCalibration": _map(
        timestamp=_STAMP,
        frame_id={"type": "string"},
        width={"type": "integer"},
        height={"type": "integer"},
        distortion_model={"type": "string"},
        D=_NUMBERS,
        K=_NUMBERS,
        R=_NUMBERS,
        P=_NUMBERS,
    ),
    "face_take.Frame": _map(
        frame={"type": "integer"},
        t_capture={"type": "integer"},
        t_unix={"type": "integer"},
        image=_NUMBERS,
        camera=_NUMBERS,
        faces={"type": "array", "items": {"type": "object"}},
    ),
    "face_take.Arkit": _map(**dict.fromkeys(ARKIT_NAMES, _NUMBER)),
    "face_take.State": _map(
        tracked={"type": "boolean"},
        confidence=_NUMBER,
        yaw_deg=_NUMBER,
        pitch_deg=_NUMBER,
        roll_deg=_NUMBER,
        gaze_left=_map(yaw_deg=_NUMBER, pitch_deg=_NUMBER),
        gaze_right=_map(yaw_deg=_NUMBER, pitch_deg=_NUMBER),
        residual_px=_NUMBER,
    ),
}


def check_package() -> None:
    """Raise RecordingError when the package that MCAP needs is not there."""
    require("mcap.writer", "mcap", _PURPOSE)


def write_mcap_to(file: IO[bytes], header: TakeHeader, records: Iterable[dict[str, Any]], end: dict[str, Any]) -> int:
    """Write frame records into an open file; returns how many. Memory does not grow with the length of the take.

    Args:
        file: where to.
        header: what the take says about itself.
        records: frames with float32 arrays, as ``RecordEncoder`` makes them.
        end: its ``complete`` is looked up after the last record.

    Raises:
        RecordingError: the package ``mcap`` is not installed.
        OSError: there is no room.
    """
    output = _Channels(require("mcap.writer", "mcap", _PURPOSE).Writer(file, chunk_size=_CHUNK_BYTES))
    output.writer.start(library=f"tracker {tracker.__version__}")
    output.writer.add_metadata(_START, {"header": json.dumps(header.to_record())})
    count = 0
    camera: list[Any] | None = None
    for record in records:
        times = (max(0, record["t_capture"]), max(0, record["t_unix"]))
        output.send(_TAKE_TOPIC, "face_take.Frame", json_line(record)[:-1], *times)
        if camera != (camera := [*record["image"], *record["camera"]]):
            output.send("/camera", "foxglove.CameraCalibration", _json(_calibration(camera, times[0])), *times)
        transforms = {"transforms": [_transform(face, times[0]) for face in record["faces"]]}
        output.send("/tf", "foxglove.FrameTransforms", _json(transforms), *times)
        for face in record["faces"]:
            weights = dict(zip(ARKIT_NAMES, _plain(face["arkit"]), strict=True))
            output.send(f"/face_{face['id']}/arkit", "face_take.Arkit", _json(weights), *times)
            output.send(f"/face_{face['id']}/state", "face_take.State", _json(_state(face)), *times)
        count += 1
    complete = "true" if end.get("complete") else "false"
    output.writer.add_metadata(_END, {"frames": str(count), "complete": complete})
    output.writer.finish()
    return count


class _Channels:
    """Registers schemas and channels when they are first used."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def send(self, topic: str, schema: str, data: bytes, log_ns: int, unix_ns: int) -> None:
        if topic not in self._channels:
            if schema not in self._schemas:
                text = json.dumps({"title": schema, **_SCHEMAS[schema]}).encode()
                self._schemas[schema] = self.writer.register_schema(schema, "jsonschema", text)
            self._channels[topic] = self.writer.register_channel(topic, "json", self._schemas[schema])
        self.writer.add_message(self._channels[topic], log_time=log_ns, data=data, publish_time=unix_ns)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _plain(array: Any) -> list[float]:
    rounded: list[float] = np.round(np.asarray(array, np.float64), 8).tolist()
    return rounded


def _stamp(time_ns: int) -> dict[str, int]:
    return {"sec": time_ns // 1_000_000_000, "nsec": time_ns % 1_000_000_000}


def _transform(face: dict[str, Any], time_ns: int) -> dict[str, Any]:
    return {
        "timestamp": _stamp(time_ns),
        "parent_frame_id": "camera",
        "child_frame_id": f"face_{face['id']}",
        "translation": dict(zip("xyz", _plain(face["head"]["position"]), strict=True)),
        "rotation": dict(zip("xyzw", _plain(face["head"]["quaternion"]), strict=True)),
    }


def _calibration(camera: list[Any], time_ns: int) -> dict[str, Any]:
    width, height, focal, cx, cy = camera
    return {
        "timestamp": _stamp(time_ns),
        "frame_id": "camera",
        "width": width,
        "height": height,
        "distortion_model": "",
        "D": [],
        "K": [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        "R": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "P": [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def _state(face: dict[str, Any]) -> dict[str, Any]:
    yaw, pitch, roll = (math.degrees(angle) for angle in head_euler(matrix_from_quaternion(face["head"]["quaternion"])))
    gaze = {
        f"gaze_{side}": dict(zip(("yaw_deg", "pitch_deg"), np.degrees(face["gaze"][side]).tolist(), strict=True))
        for side in ("left", "right")
    }
    return {
        "tracked": bool(face["tracked"]),
        "confidence": face["confidence"],
        "yaw_deg": yaw,
        "pitch_deg": pitch,
        "roll_deg": roll,
        **gaze,
        "residual_px": face["residual_px"],
    }


def read_mcap(path: Path) -> Iterator[dict[str, Any]]:
    """The maps of an ``.mcap`` take, header first, as ``read_jsonl`` gives them; of a file that was cut off, what is whole.

    Raises:
        RecordingError: the file cannot be read, is damaged or no take, or the package ``mcap`` is not installed.
    """
    require("mcap.reader", "mcap", _PURPOSE)
    records = _records(path)
    started = False
    topics: dict[int, str] = {}
    end: dict[str, Any] | None = None
    try:
        for kind, record in records:
            if kind == "Metadata" and record.name == _START:
                started = True
                yield json.loads(record.metadata["header"])
            elif kind == "Channel":
                topics[record.id] = record.topic
            elif kind == "Message" and started and topics.get(record.channel_id) == _TAKE_TOPIC:
                yield json.loads(record.data)
            elif kind == "Metadata" and record.name == _END:
                frames, complete = int(record.metadata["frames"]), record.metadata["complete"] == "true"
                end = {"frames": frames, "complete": complete}
    except (ValueError, KeyError) as error:
        raise RecordingError(f"{path} is damaged ({error}); expected a take") from error
    if not started:
        raise RecordingError(f"{path} is not a take: it is an .mcap without the metadata '{_START}'")
    if end is not None:  # The writer puts it before the last chunk of frames.
        yield {"end": end}


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Records with their kind, up to the end or to where the file was cut off."""
    reader = require("mcap.stream_reader", "mcap", _PURPOSE).StreamReader
    exceptions = require("mcap.exceptions", "mcap", _PURPOSE)
    try:
        with path.open("rb") as file:
            for record in reader(file, validate_crcs=True, record_size_limit=_LARGEST_RECORD).records:
                yield type(record).__name__, record
    except exceptions.EndOfFile:
        return
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    except RecordingError:
        raise
    except GeneratorExit:
        raise
    except Exception as error:  # The decompressors and struct have errors of their own; all of them mean the same.
        raise RecordingError(f"{path} is damaged ({' '.join(str(error).split())}); expected a take") from error


def read_mcap_meta(path: Path) -> dict[str, Any]:
    """The header of the take and how it ended, without its frames. Raises RecordingError as ``read_mcap``."""
    make_reader = require("mcap.reader", "mcap", _PURPOSE).make_reader
    try:
        with path.open("rb") as file:
            found = {record.name: record.metadata for record in make_reader(file).iter_metadata()}
        meta: dict[str, Any] = json.loads(found[_START]["header"])
        return meta | {"frames": int(found[_END]["frames"]), "complete": found[_END]["complete"] == "true"}
    except OSError as error:
        raise RecordingError(f"cannot read take {path}: {error.strerror or error}") from error
    except Exception as error:  # As above.
        raise RecordingError(f"{path} is not a take ({' '.join(str(error).split())})") from error
