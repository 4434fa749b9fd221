"""Frame results to wire messages. docs/wire.md is the specification; ``decoding`` is the way back.

Every message is ``[topic, msgpack map]``. Arrays travel as little-endian float32 blobs (msgpack ``bin``). NaN and
infinity are forbidden on the wire: a frame or identity that holds one raises ``PublishError`` naming the field, in events and
status such a number becomes nil.

The decoded form that ``decoding.decode_frame`` returns is a plain dict with exactly the keys of the wire in which every
blob has become a read-only float32 array:

    v, schema, seq, frame: int          stream: str (uuid4)
    t_capture, t_publish, t_unix: int nanoseconds          clock: "CLOCK_MONOTONIC" | "media" (of t_capture)
    timecode: [frame int, subframe float, numerator int, denominator int]          (only when the source has a rate)
    image: [width, height]          K: (3, 3)          mirrored: bool
    faces: list of dict, empty when nobody is there:
        id, age: int          tracked: bool          confidence, residual_px: float          bbox: [x, y, width, height] px
        params: {expression (Ne,), rotation (3,), translation (3,), neck (3,), jaw (3,), eyes (6,), eyelids (2,)}
        head: {position (3,) m, quaternion (4,) xyzw}          arkit: (52,)          gaze: {left (2,), right (2,)} rad
        raw: {params: as above, arkit: (52,)}                      (only with --with-raw)
        landmarks: (N, 2) px          sigma: (N,) px               (only with --with-landmarks)
        visibility: (N,) in 0..1                                   (with landmarks, where it is known)
        light: {sh (27,), exposure float, white_balance (3,)}          occlusion: {fraction float, regions (R,)}  (when estimated)

An identity message decodes to {v, schema, stream, seq, t_publish: as above, faces: [{id: int, version: int, shape: (Ni,),
confidence: float, frozen: bool, keyframes: int, sigma: (Ni,)}]}; the last four are there where the tracker knows them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.errors import PublishError
from tracker.publishing.schema import WIRE_VERSION
from tracker.srgb import to_codes
from tracker.types import PARAM_SIZES, Albedo, Face, FaceParams, Float32, FrameResult, KnownIdentity
from tracker.unit_codes import to_unit_codes

TOPIC_FRAME: Final = b"face/frame/"
TOPIC_SCHEMA: Final = b"face/schema/"
TOPIC_IDENTITY: Final = b"face/identity/"
TOPIC_EVENT: Final = b"face/event/"
TOPIC_STATUS: Final = b"face/status/"
TOPICS: Final = (TOPIC_FRAME, TOPIC_SCHEMA, TOPIC_IDENTITY, TOPIC_EVENT, TOPIC_STATUS)
LATEST_PREFIX: Final = TOPIC_FRAME + b"\0"
"""What a message on the latest-only endpoint starts with; the msgpack map follows."""

_F32: Final = np.dtype("<f4")
_Packed = list[tuple[str, NDArray[Any], int | None]]
BadFace = Callable[[Face, PublishError], None]


def pack(message: Mapping[str, Any]) -> bytes:
    """msgpack bytes of a message.

    Raises:
        PublishError: a value has no place in msgpack.
    """
    try:
        packed: bytes = msgpack.packb(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise PublishError(f"a message cannot be packed: {error}") from error
    return packed


def encode_frame(
    result: FrameResult,
    *,
    stream: str,
    seq: int,
    schema: int,
    t_publish_ns: int,
    with_raw: bool = False,
    with_landmarks: bool = False,
    on_bad_face: BadFace | None = None,
) -> dict[str, Any]:
    """The ``face/frame/`` map of a frame result.

    Args:
        result: what the tracker found.
        stream: uuid of this process's stream.
        seq: number of this frame message in the stream.
        schema: revision of the schema that describes it.
        t_publish_ns: CLOCK_MONOTONIC at sending.
        with_raw: add ``raw``, the values before smoothing.
        with_landmarks: add ``landmarks``, ``sigma`` and, where it is known, ``visibility``.
        on_bad_face: called with a face that cannot be sent, which is then left out; without it the error is raised.

    Raises:
        PublishError: a number is not finite or an array has the wrong size.
    """
    faces = []
    for face in result.faces:
        try:
            faces.append(encode_face(face, with_raw=with_raw, with_landmarks=with_landmarks))
        except PublishError as error:
            if on_bad_face is None:
                raise
            on_bad_face(face, error)
    camera = result.camera
    message: dict[str, Any] = {
        "v": WIRE_VERSION,
        "schema": schema,
        "stream": stream,
        "seq": seq,
        "frame": result.index,
        "t_capture": result.t_capture_ns,
        "t_publish": t_publish_ns,
        "clock": result.clock,
        "t_unix": result.t_unix_ns,
    }
    timecode = encode_timecode(result.pts_s, result.rate)
    if timecode is not None:
        message["timecode"] = timecode
    message["image"] = [camera.width, camera.height]
    message["K"] = _intrinsics(camera)
    message["mirrored"] = False
    message["faces"] = faces
    return message


def encode_face(face: Face, *, with_raw: bool = False, with_landmarks: bool = False) -> dict[str, Any]:
    """One entry of ``faces``. Raises PublishError when a number is not finite or an array has the wrong size."""
    arrays: _Packed = [
        ("bbox", face.box, 4),
        ("head.position", face.position, 3),
        ("head.quaternion", face.quaternion, 4),
        ("arkit", face.arkit, len(ARKIT_NAMES)),
        ("gaze.left", face.gaze_left, 2),
        ("gaze.right", face.gaze_right, 2),
        *_param_arrays("params", face.params),
    ]
    if with_raw:
        arrays += _param_arrays("raw.params", face.raw)
        if face.arkit_raw is not None:
            arrays.append(("raw.arkit", face.arkit_raw, len(ARKIT_NAMES)))
    if face.light is not None:
        light = face.light
        arrays += [("light.sh", light.sh.T, 27), ("light.white_balance", light.white_balance, 3)]
    if face.occlusion is not None:
        arrays.append(("occlusion.regions", face.occlusion.regions, None))
    if with_landmarks:
        points = face.landmarks.points
        arrays += [("landmarks", points[:, :2], 2 * len(points)), ("sigma", face.landmarks.sigma, len(points))]
    where = f"face {face.id}"
    numbers = {"confidence": face.confidence, "residual_px": face.residual_px}
    if face.light is not None:
        numbers["light.exposure"] = face.light.exposure
    if face.occlusion is not None:
        numbers["occlusion.fraction"] = face.occlusion.fraction
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise PublishError(f"{where}: {name} is {number}, and only finite numbers may be published")
    blobs = iter(_blobs(arrays, where))
    next(blobs)
    message: dict[str, Any] = {
        "id": face.id,
        "tracked": bool(face.tracked),
        "confidence": float(face.confidence),
        "age": face.age,
        "residual_px": float(face.residual_px),
        "bbox": [float(value) for value in face.box],
        "head": {"position": next(blobs), "quaternion": next(blobs)},
        "arkit": next(blobs),
        "gaze": {"left": next(blobs), "right": next(blobs)},
        "params": {name: next(blobs) for name in PARAM_SIZES},
    }
    if with_raw:
        message["raw"] = {"params": {name: next(blobs) for name in PARAM_SIZES}}
        if face.arkit_raw is not None:
            message["raw"]["arkit"] = next(blobs)
    if face.light is not None:
        message["light"] = {"sh": next(blobs), "white_balance": next(blobs), "exposure": float(face.light.exposure)}
    if face.occlusion is not None:
        message["occlusion"] = {"fraction": float(face.occlusion.fraction), "regions": next(blobs)}
    if with_landmarks:
        message["landmarks"] = next(blobs)
        message["sigma"] = next(blobs)
        if face.landmarks.visibility is not None:
            message["visibility"] = _encode_visibility(face.landmarks.visibility, len(face.landmarks.points), where)
    return message


def encode_identity(
    identities: Mapping[int, KnownIdentity],
    *,
    stream: str,
    seq: int,
    schema: int,
    t_publish_ns: int,
) -> dict[str, Any]:
    """The ``face/identity/`` map: for each face id the version, the (Ni,) coefficients of its shape, and how good they are.

    Raises:
        PublishError: a coefficient is not finite.
    """
    return {
        "v": WIRE_VERSION,
        "schema": schema,
        "stream": stream,
        "seq": seq,
        "t_publish": t_publish_ns,
        "faces": [_encode_known(face_id, known) for face_id, known in identities.items()],
    }


def _encode_known(face_id: int, known: KnownIdentity) -> dict[str, Any]:
    where = f"face {face_id}"
    shape = _blobs([("shape", known.shape, None)], where)[0]
    message: dict[str, Any] = {"id": face_id, "version": known.version, "shape": shape}
    state = known.state
    if state is not None:
        if not math.isfinite(state.confidence):
            raise PublishError(f"{where}: the identity's confidence is {state.confidence}, which may not be published")
        sigma = _blobs([("sigma", state.sigma, known.shape.size)], where)[0]
        message |= {"confidence": float(state.confidence), "frozen": bool(state.frozen), "keyframes": state.keyframes}
        message["sigma"] = sigma
    if known.albedo is not None:
        message["albedo"] = _encode_albedo(known.albedo, where)
    return message


def _encode_visibility(visibility: Float32, count: int, where: str) -> bytes:
    if visibility.shape != (count,):
        raise PublishError(f"{where}: visibility needs {count} numbers, got shape {visibility.shape}")
    if not np.isfinite(visibility).all():
        raise PublishError(f"{where}: visibility holds NaN or infinity, and only finite numbers may be published")
    return to_unit_codes(visibility).tobytes()


def _encode_albedo(albedo: Albedo, where: str) -> dict[str, Any]:
    if not (np.isfinite(albedo.points).all() and np.isfinite(albedo.seen).all() and math.isfinite(albedo.coverage)):
        raise PublishError(f"{where}: its albedo holds NaN or infinity, which may not be published")
    return {
        "version": albedo.version,
        "coverage": float(albedo.coverage),
        "points": to_codes(albedo.points).tobytes(),
        "seen": to_unit_codes(albedo.seen).tobytes(),
    }


def encode_event(
    kind: str, fields: Mapping[str, Any], *, stream: str, seq: int, t_publish_ns: int, t_unix_ns: int
) -> dict[str, Any]:
    """The ``face/event/`` map: ``event`` is the kind, ``fields`` are added beside it; non-finite numbers become nil."""
    header = {"v": WIRE_VERSION, "stream": stream, "seq": seq, "t_publish": t_publish_ns, "t_unix": t_unix_ns}
    header["event"] = kind
    # Once to come first, once more so that no field replaces it.
    return {**header, **plain(fields), **header}


def encode_status(fields: Mapping[str, Any], *, stream: str, seq: int, t_publish_ns: int) -> dict[str, Any]:
    """The ``face/status/`` map: ``fields`` beside the header; non-finite numbers become nil."""
    header = {"v": WIRE_VERSION, "stream": stream, "seq": seq, "t_publish": t_publish_ns}
    return {**header, **plain(fields), **header}


def encode_timecode(pts_s: Fraction | None, rate: Fraction | None) -> list[int | float] | None:
    """[frame, subframe in 0..1, numerator, denominator] of a presentation time at an exact rate; None without either."""
    if pts_s is None or rate is None or rate <= 0:
        return None
    position = pts_s * rate
    frame = math.floor(position)
    # A fraction just below one rounds to 1.0 as a float, which would be another frame.
    subframe = min(float(position - frame), math.nextafter(1.0, 0.0))
    return [frame, subframe, rate.numerator, rate.denominator]


def plain(value: Any) -> Any:
    """The value in msgpack's and JSON's own types: numpy scalars and arrays unwrapped, tuples to lists, NaN and infinity to None.

    Raises:
        PublishError: the value is of a type that has no plain form.
    """
    if value is None or isinstance(value, (str, bool, bytes)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, int):
        return value
    if isinstance(value, (float, Fraction)):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise PublishError(f"a {type(value).__name__} cannot be published: expected numbers, strings, lists or maps")


@functools.lru_cache(maxsize=8)
def _intrinsics(camera: Camera) -> bytes:
    return _blobs([("K", camera.matrix, 9)], "the camera")[0]


def _param_arrays(prefix: str, params: FaceParams) -> _Packed:
    return [(f"{prefix}.{name}", getattr(params, name), size) for name, size in PARAM_SIZES.items()]


def _blobs(arrays: _Packed, where: str) -> list[bytes]:
    """The arrays as float32 blobs, checked. One conversion and one check for all: numpy calls dominate the cost."""
    for name, array, size in arrays:
        if size is not None and array.size != size:
            raise PublishError(f"{where}: {name} needs {size} numbers, got shape {array.shape}")
    flat = np.concatenate([array.reshape(-1) for _, array, _ in arrays])
    if flat.dtype != _F32:
        with np.errstate(over="ignore"):
            flat = flat.astype(_F32)
    if not np.isfinite(flat).all():
        for name, array, _ in arrays:
            bad = ~np.isfinite(array) | (np.abs(array) > np.finfo(np.float32).max)
            if bad.any():
                value = array[bad].flat[0]
                raise PublishError(f"{where}: {name} holds {value}, and only finite numbers may be published")
    packed = flat.tobytes()
    blobs, start = [], 0
    for _, array, _ in arrays:
        stop = start + 4 * array.size
        blobs.append(packed[start:stop])
        start = stop
    return blobs
