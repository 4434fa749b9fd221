"""Golden packets: our encoder makes them to the byte, and a reader that knows only msgpack and struct reads them."""

from __future__ import annotations

import dataclasses
import random
import struct
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import msgpack
import numpy as np
import pytest

from tracker.arkit import ARKIT_NAMES
from tracker.errors import PublishError
from tracker.publishing import wire
from tracker.publishing.decoding import decode_frame, decode_message, decode_schema
from tracker.publishing.results import to_frame_result, to_identity
from tracker.publishing.schema import build_schema

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NAMES = sorted(path.name for path in GOLDEN.glob("wire_*.bin"))
TOPICS = {
    "wire_frame": wire.TOPIC_FRAME,
    "wire_schema": wire.TOPIC_SCHEMA,
    "wire_identity": wire.TOPIC_IDENTITY,
    "wire_event": wire.TOPIC_EVENT,
    "wire_status": wire.TOPIC_STATUS,
}


def read(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def unpack_floats(blob: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(blob) // 4}f", blob)


def topic_of(name: str) -> bytes:
    return next(topic for prefix, topic in TOPICS.items() if name.startswith(prefix))


def test_there_is_a_packet_of_every_kind(golden: ModuleType) -> None:
    assert sorted(golden.golden_packets()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_reproduces_the_packet(name: str, golden: ModuleType) -> None:
    assert golden.golden_packets()[name] == read(name)


def test_independent_reader_frame() -> None:
    frame = msgpack.unpackb(read("wire_frame_one_face.bin"))
    keys = "v schema stream seq frame t_capture t_publish clock t_unix timecode image K mirrored faces"
    assert " ".join(frame) == keys
    assert (frame["v"], frame["schema"], frame["seq"], frame["frame"]) == (1, 7, 41, 30)
    assert frame["clock"] == "media"
    assert frame["t_capture"] == round(Fraction(30 * 4 + 1, 4) * 1001 / 30000 * 10**9)
    assert frame["t_unix"] == 1_700_000_000_000_000_030
    assert frame["timecode"] == [30, 0.25, 30000, 1001]
    assert frame["image"] == [640, 360] and frame["mirrored"] is False
    assert unpack_floats(frame["K"]) == (734, 0, 320, 0, 734, 180, 0, 0, 1)
    (face,) = frame["faces"]
    assert set(face) == {"id", "tracked", "confidence", "age", "residual_px", "bbox", "params", "head", "arkit", "gaze"}
    assert (face["id"], face["tracked"], face["confidence"], face["age"], face["residual_px"]) == (
        1,
        True,
        0.9375,
        12,
        0.75,
    )
    assert face["bbox"] == [100.5, 50.25, 200.0, 220.0]
    assert {name: len(blob) // 4 for name, blob in face["params"].items()} == {
        "expression": 3, "rotation": 3, "translation": 3, "neck": 3, "jaw": 3, "eyes": 6, "eyelids": 2,
    }  # fmt: skip
    assert unpack_floats(face["params"]["expression"]) == (0.25, 0.375, 0.5)
    assert unpack_floats(face["params"]["translation"]) == (0.25, 0.0625, 0.5)
    assert unpack_floats(face["head"]["quaternion"]) == (1, 0, 0, 0)
    assert unpack_floats(face["head"]["position"]) == (0.25, 0.0625, 0.5)
    assert unpack_floats(face["arkit"]) == tuple(index / 64 for index in range(52))
    assert unpack_floats(face["gaze"]["left"]) == (0.125, -0.25)
    assert unpack_floats(face["gaze"]["right"]) == (0.0625, -0.25)


def test_independent_reader_frame_with_extras() -> None:
    frame = msgpack.unpackb(read("wire_frame_raw_landmarks.bin"))
    assert [face["id"] for face in frame["faces"]] == [1, 2]
    assert [face["tracked"] for face in frame["faces"]] == [True, False]
    face = frame["faces"][0]
    assert unpack_floats(face["raw"]["params"]["expression"]) == (0.5, 0.625, 0.75)
    assert unpack_floats(face["raw"]["arkit"])[51] == 51 / 128
    # x and y of three points; the depth between them stays here.
    assert unpack_floats(face["landmarks"]) == (100.5, 100.625, 100.875, 101.0, 101.25, 101.375)
    assert unpack_floats(face["sigma"]) == (0.5, 0.625, 0.75)


def test_visibility_is_a_byte_a_landmark_and_comes_back(golden: ModuleType) -> None:
    packet = read("wire_frame_visibility.bin")
    (face,) = msgpack.unpackb(packet)["faces"]
    assert list(face["visibility"]) == [0, 102, 255]
    (decoded,) = decode_frame(packet)["faces"]
    np.testing.assert_allclose(decoded["visibility"], [0.0, 0.4, 1.0], atol=1e-6)
    result = to_frame_result(decode_frame(packet), build_schema(golden.MODEL), {})
    visibility = result.faces[0].landmarks.visibility
    assert visibility is not None and visibility.dtype == np.float32 and visibility[2] == 1.0


def test_a_stream_without_visibility_says_that_it_is_not_known(golden: ModuleType) -> None:
    frame = decode_frame(read("wire_frame_raw_landmarks.bin"))
    assert to_frame_result(frame, build_schema(golden.MODEL), {}).faces[0].landmarks.visibility is None
    without = wire.encode_frame(
        golden.make_result(golden.add_visibility(golden.make_face())), stream="", seq=0, schema=1, t_publish_ns=0
    )
    assert "visibility" not in without["faces"][0], "it comes with the landmarks, of which each has one"


@pytest.mark.parametrize(
    ("visibility", "reason"),
    [(np.ones(2, np.float32), "needs 3 numbers"), (np.array([0, np.nan, 1], np.float32), "NaN")],
)
def test_bad_visibility_is_not_published(golden: ModuleType, visibility: np.ndarray, reason: str) -> None:
    face = golden.make_face()
    face = dataclasses.replace(face, landmarks=dataclasses.replace(face.landmarks, visibility=visibility))
    with pytest.raises(PublishError, match=reason):
        wire.encode_face(face, with_landmarks=True)


@pytest.mark.parametrize("blob", [b"\0\0", [0, 1, 2], "abc", b"\0\0\0\0"])
def test_damaged_visibility_is_refused_in_one_line(blob: object) -> None:
    frame = msgpack.unpackb(read("wire_frame_visibility.bin"))
    frame["faces"][0]["visibility"] = blob
    with pytest.raises(PublishError, match="visibility should"):
        decode_frame(msgpack.packb(frame))


def test_independent_reader_other_kinds() -> None:
    assert msgpack.unpackb(read("wire_frame_no_face.bin"))["faces"] == []
    latest = read("wire_latest_one_face.bin")
    assert latest[:12] == b"face/frame/\0" and latest[12:] == read("wire_frame_one_face.bin")
    schema = msgpack.unpackb(read("wire_schema.bin"))
    assert schema["schema"] == 7 and schema["arkit_names"] == list(ARKIT_NAMES)
    assert schema["model"]["expression_names"] == ["jawOpen", "mouthSmileLeft", "mouthSmileRight"]
    assert schema["units"]["length"] == "m" and schema["units"]["angle"] == "rad" and schema["quaternion"] == "xyzw"
    assert schema["regions"] == ["brow", "mouth"] and schema["sh_order"] == 2
    identity = msgpack.unpackb(read("wire_identity.bin"))
    assert [(face["id"], face["version"]) for face in identity["faces"]] == [(1, 2)]
    (face,) = identity["faces"]
    assert unpack_floats(face["shape"]) == (-0.25, -0.125, 0.0, 0.125)
    assert unpack_floats(face["sigma"]) == (0.5, 0.625, 0.75, 0.875)
    assert (face["confidence"], face["frozen"], face["keyframes"]) == (0.625, True, 12)
    event = msgpack.unpackb(read("wire_event.bin"))
    assert (event["event"], event["id"], event["frame"]) == ("tracked", 1, 30)
    status = msgpack.unpackb(read("wire_status.bin"))
    assert status["fps"] == 30.0 and status["stages"]["fit"]["p95"] == 1.5


def test_one_face_with_52_expressions_stays_small(golden: ModuleType) -> None:
    face = golden.make_face()
    params = dataclasses.replace(face.params, expression=golden.ramp(52))
    result = golden.make_result(dataclasses.replace(face, params=params))
    packed = wire.pack(wire.encode_frame(result, stream=golden.STREAM, seq=1, schema=1, t_publish_ns=1))
    assert len(packed) < 1323


@pytest.mark.parametrize("name", [name for name in NAMES if "latest" not in name])
def test_every_truncation_is_one_clear_line(name: str) -> None:
    content = read(name)
    assert decode_message(topic_of(name), content) is not None
    for length in range(len(content)):
        with pytest.raises(PublishError) as raised:
            decode_message(topic_of(name), content[:length])
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [name for name in NAMES if "latest" not in name])
def test_damaged_packets_decode_or_fail_in_one_line(name: str) -> None:
    content, generator = read(name), random.Random(7)
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            decode_message(topic_of(name), bytes(damaged))
        except PublishError as error:
            assert "\n" not in str(error)


def test_random_bytes_fail_in_one_line() -> None:
    generator = random.Random(11)
    for _ in range(1000):
        with pytest.raises(PublishError):
            decode_frame(generator.randbytes(generator.randint(0, 64)))


def change(frame: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    place: Any = frame
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("v", 2, "has version 2, this program reads version 1"),
        ("v", KeyError, "v is missing"),
        ("seq", -1, "seq should not be negative, got -1"),
        ("frame", True, "frame should be an integer, got True"),
        ("stream", 5, "stream should be a string, got 5"),
        ("clock", "wall", "clock should be one of CLOCK_MONOTONIC, media, got 'wall'"),
        ("timecode", [1, 0.5, 30, 0], r"timecode should be \[frame, subframe"),
        ("image", [640], "image should be a list of 2 finite numbers, got list of length 1"),
        ("image", [640, 0], r"image should be \[width, height\] in pixels, got \[640, 0\]"),
        ("K", b"\0" * 32, "K should have 36 bytes, got 32"),
        ("faces", {}, "faces should be a list"),
        ("faces.0.id", KeyError, r"faces\[0\] is unreadable: id is missing"),
        ("faces.0.tracked", 1, "tracked should be true or false, got 1"),
        ("faces.0.confidence", float("nan"), "confidence should be a finite number, got nan"),
        ("faces.0.arkit", b"\0" * 204, "arkit should have 208 bytes, got 204"),
        ("faces.0.params.expression", b"\0" * 5, "expression should have a multiple of 4 bytes, got 5"),
        ("faces.0.params.rotation", [0.0, 0.0, 0.0], "rotation should be a float32 blob, got list of length 3"),
        ("faces.0.head.position", struct.pack("<3f", 0, float("inf"), 0), "position holds NaN or infinity"),
        ("faces.0.sigma", b"\0" * 8, "sigma has 2 entries for 3 landmarks"),
        ("faces.0.raw.params", KeyError, "params is missing"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object, message: str) -> None:
    frame = msgpack.unpackb(read("wire_frame_raw_landmarks.bin"))
    change(frame, path, value)
    with pytest.raises(PublishError, match=message):
        decode_frame(msgpack.packb(frame))


def test_unknown_keys_are_kept_and_unknown_topics_ignored() -> None:
    frame = msgpack.unpackb(read("wire_frame_one_face.bin"))
    frame["invented_later"] = {"x": 1}
    assert decode_frame(msgpack.packb(frame))["invented_later"] == {"x": 1}
    assert decode_message(b"face/invented/", b"\xc1") is None


def test_appearance_goes_there_and_back(golden: ModuleType) -> None:
    face = golden.add_appearance(golden.make_face())
    schema = decode_message(wire.TOPIC_SCHEMA, read("wire_schema_appearance.bin"))
    identity = decode_message(wire.TOPIC_IDENTITY, read("wire_identity_albedo.bin"))
    assert schema is not None and identity is not None
    np.testing.assert_allclose(schema["albedo"]["uv"], np.clip(golden.ramp(6), 0, 1).reshape(3, 2), atol=1e-5)
    known = {1: to_identity(identity["faces"][0])}
    (found,) = to_frame_result(decode_frame(read("wire_frame_appearance.bin")), schema, known).faces
    assert found.light is not None and found.occlusion is not None and found.albedo is not None
    np.testing.assert_array_equal(found.light.sh, face.light.sh)
    np.testing.assert_array_equal(found.light.white_balance, face.light.white_balance)
    assert (found.light.exposure, found.occlusion.fraction) == (0.625, 0.25)
    np.testing.assert_array_equal(found.occlusion.regions, face.occlusion.regions)
    np.testing.assert_array_equal(found.albedo.points, face.albedo.points)
    np.testing.assert_allclose(found.albedo.seen, face.albedo.seen, atol=1 / 255)
    assert (found.albedo.version, found.albedo.coverage) == (4, 0.5)


def test_a_broken_albedo_is_refused_by_name(golden: ModuleType) -> None:
    albedo = golden.add_appearance(golden.make_face()).albedo
    known = golden.golden_identity()._replace(albedo=dataclasses.replace(albedo, points=albedo.points * np.nan))
    with pytest.raises(PublishError, match="face 1: its albedo holds NaN"):
        wire.encode_identity({1: known}, stream=golden.STREAM, seq=1, schema=1, t_publish_ns=1)
    message = msgpack.unpackb(read("wire_identity_albedo.bin"))
    message["faces"][0]["albedo"]["points"] = b"12"
    with pytest.raises(PublishError, match="points should have 9 bytes, got 2"):
        decode_message(wire.TOPIC_IDENTITY, msgpack.packb(message))


def test_optional_light_and_occlusion_are_decoded() -> None:
    frame = msgpack.unpackb(read("wire_frame_one_face.bin"))
    frame["faces"][0]["light"] = {"sh": np.arange(27, dtype="<f4").tobytes(), "exposure": 1.5}
    frame["faces"][0]["occlusion"] = {"fraction": 0.25, "regions": np.array([0, 1], "<f4").tobytes()}
    face = decode_frame(msgpack.packb(frame))["faces"][0]
    assert face["light"]["sh"].shape == (27,) and face["light"]["exposure"] == 1.5
    np.testing.assert_array_equal(face["occlusion"]["regions"], [0, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_non_finite_numbers_are_refused_by_name(value: float, golden: ModuleType) -> None:
    face = golden.make_face(3)
    arkit = face.arkit.astype(np.float64)
    arkit[5] = value
    with pytest.raises(PublishError, match=r"face 3: arkit holds .* only finite numbers may be published"):
        wire.encode_face(dataclasses.replace(face, arkit=arkit))
    with pytest.raises(PublishError, match=r"face 3: residual_px is .* only finite numbers may be published"):
        wire.encode_face(dataclasses.replace(face, residual_px=value * 1e300))


def test_arrays_of_the_wrong_size_are_refused_by_name(golden: ModuleType) -> None:
    face = dataclasses.replace(golden.make_face(), gaze_left=np.zeros(3, np.float32))
    with pytest.raises(PublishError, match=r"face 1: gaze.left needs 2 numbers, got shape \(3,\)"):
        wire.encode_face(face)


def test_nan_in_the_camera_stops_the_frame(golden: ModuleType) -> None:
    result = golden.make_result()
    result = dataclasses.replace(result, camera=dataclasses.replace(result.camera, focal_px=float("nan")))
    with pytest.raises(PublishError, match="the camera: K holds nan"):
        wire.encode_frame(result, stream="", seq=0, schema=1, t_publish_ns=0)


@pytest.mark.parametrize(
    ("pts_s", "rate", "expected"),
    [
        (Fraction(0), Fraction(30), [0, 0.0, 30, 1]),
        (Fraction(1001, 30000) * 1799, Fraction(30000, 1001), [1799, 0.0, 30000, 1001]),
        (Fraction(33, 1000), Fraction(30), [0, 0.99, 30, 1]),
        (Fraction(1) - Fraction(1, 10**30), Fraction(25), [24, np.nextafter(1.0, 0.0), 25, 1]),
        (Fraction(-1, 60), Fraction(30), [-1, 0.5, 30, 1]),
        (None, Fraction(30), None),
        (Fraction(1), None, None),
    ],
)
def test_timecode_is_exact(pts_s: Fraction | None, rate: Fraction | None, expected: list[float] | None) -> None:
    assert wire.encode_timecode(pts_s, rate) == expected


def test_schema_needs_all_names() -> None:
    schema = msgpack.unpackb(read("wire_schema.bin"))
    schema["arkit_names"].pop()
    with pytest.raises(PublishError, match="arkit_names should be 52 names, got 51"):
        decode_schema(msgpack.packb(schema))


def test_plain_refuses_what_has_no_plain_form() -> None:
    assert wire.plain({"a": (np.int64(1), Fraction(1, 2)), 3: {"b"}}) == {"a": [1, 0.5], "3": ["b"]}
    with pytest.raises(PublishError, match="a object cannot be published"):
        wire.plain(object())


def test_schema_message_has_the_agreed_keys(golden: ModuleType) -> None:
    schema = build_schema(golden.MODEL)
    agreed = {"v", "schema", "arkit_names", "model", "regions", "units", "axes", "quaternion", "sh_order", "tracker"}
    assert agreed <= set(schema)
    assert schema["axes"]["camera"] == "opencv: x right, y down, z forward"
    assert schema["axes"]["head"].startswith("subject-left positive")


def test_the_documentation_names_every_key() -> None:
    documentation = (GOLDEN.parents[1] / "docs" / "wire.md").read_text(encoding="utf-8")

    def keys(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(keys, value))
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set()

    for name in NAMES:
        if "latest" not in name:
            message = msgpack.unpackb(read(name))
            # Stages of the status have the names that the pipeline gives them.
            expected = set(message) if name == "wire_status.bin" else keys(message)
            missing = [key for key in expected if f"`{key}" not in documentation and f".{key}`" not in documentation]
            assert missing == [], name
