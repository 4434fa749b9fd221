"""The golden packets: made to the byte, and read back by readers that are not ours or follow the specification."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from tests.bridges import readers
from tools import make_golden_bridges as golden
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.bridges import lsl

FOLDER = Path(__file__).resolve().parents[1] / "golden"
WEIGHTS = {name: index / 64 for index, name in enumerate(ARKIT_NAMES)}


def datagrams(name: str) -> list[bytes]:
    return golden.split((FOLDER / f"bridge_{name}.bin").read_bytes())


@pytest.mark.parametrize("name", sorted(golden.golden_packets()))
def test_packets_are_what_they_were(name: str) -> None:
    assert (FOLDER / name).read_bytes() == golden.golden_packets()[name], "run tools/make_golden_bridges.py"


def test_the_script_finds_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["make_golden_bridges.py", "--out", str(tmp_path), *arguments])
        return golden.main()

    assert run("--check") == 1 and not list(tmp_path.iterdir())
    assert run() == 0 and run("--check") == 0
    (tmp_path / "bridge_vmc.bin").write_bytes(b"x")
    assert run("--check") == 1


def check_livelink_values(values: tuple[float, ...]) -> None:
    assert values[:52] == tuple(WEIGHTS.values())
    # The head is turned left, up, and to the left shoulder; the eyes look right and down.
    assert values[52:55] == pytest.approx([golden.YAW, golden.PITCH, -golden.ROLL], abs=1e-6)
    assert values[55:61] == pytest.approx([0.25, 0.125, 0.0, 0.1875, 0.125, 0.0], abs=1e-6)


def test_livelink() -> None:
    (data,) = datagrams("livelink")
    assert len(data) == 312
    packet = readers.read_livelink(data)
    assert (packet.device, packet.subject) == (golden.DEVICE, "iPhone")
    assert packet.rate == (30000, 1001)
    # 12:34:56.789 at 30000/1001 frames a second.
    assert packet.frame + packet.subframe == pytest.approx(45_296.789 * 30000 / 1001, abs=1e-3)
    check_livelink_values(packet.values)


def test_livelink_read_by_pylivelinkface() -> None:
    package = pytest.importorskip("pylivelinkface", reason="an independent reader of Live Link Face packets")
    (data,) = datagrams("livelink")
    tracked, face = package.PyLiveLinkFace.decode(data)
    assert tracked and face.name == "iPhone" and face.uuid.lstrip("$") == golden.DEVICE
    check_livelink_values(tuple(face.get_blendshape(package.FaceBlendShape(index)) for index in range(61)))
    (lost,) = datagrams("livelink_lost")
    assert package.PyLiveLinkFace.decode(lost)[0] is False


def test_livelink_says_when_the_face_is_lost() -> None:
    (data,) = datagrams("livelink_lost")
    assert readers.read_livelink(data).values == ()


def test_vmc() -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    packets = datagrams("vmc")
    assert len(packets) > 1 and max(map(len, packets)) <= 1472
    messages = readers.read_osc(packets)
    assert messages[0] == ("/VMC/Ext/OK", [1])
    assert messages[1] == ("/VMC/Ext/T", [12.5])
    assert messages[-1] == ("/VMC/Ext/Blend/Apply", [])
    blend = {params[0]: params[1] for address, params in messages if address == "/VMC/Ext/Blend/Val"}
    assert blend["jawOpen"] == blend["JawOpen"] == WEIGHTS["jawOpen"]
    assert {"A", "Blink", "Joy"} <= set(blend) and all(0.0 <= value <= 1.0 for value in blend.values())
    bones = {params[0]: params[1:] for address, params in messages if address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Neck", "Head", "LeftEye", "RightEye"} and all(len(values) == 7 for values in bones.values())
    # Unity turns right and looks down with positive angles about y and x: the face turned left and up.
    for bone in ("Neck", "Head"):
        assert bones[bone][3] < 0.0 and bones[bone][4] < 0.0
    # Unity's z turns a raised right side to the left: the head leans to its left shoulder.
    assert bones["Head"][5] > 0.0
    # The eyes look right and down.
    assert bones["LeftEye"][3] > 0.0 and bones["LeftEye"][4] > 0.0


@pytest.mark.parametrize(("version", "separator"), [("v1", "-"), ("v2", "&")])
def test_ifacialmocap(version: str, separator: str) -> None:
    (data,) = datagrams(f"ifacialmocap_{version}")
    assert len(data) <= 1472
    frame = readers.read_ifacialmocap(data, separator)
    assert frame.weights["trackingStatus"] == 0.01  # it is written as 1, not as percent
    for name, letter_name in (("eyeBlinkLeft", "eyeBlink_L"), ("mouthSmileRight", "mouthSmile_R"), ("jawLeft", "jawLeft"),
                              ("mouthRight", "mouthRight"), ("mouthClose", "mouthClose")):  # fmt: skip
        assert frame.weights[letter_name] == pytest.approx(WEIGHTS[name], abs=0.0051)
    assert len(frame.weights) == 53
    # Down and left are positive: up 10, left 20; z is positive to the right shoulder.
    assert frame.head[:3] == pytest.approx([-10.0, 20.0, -5.0], abs=1e-4)
    assert frame.head[3:] == pytest.approx([0.0625, 0.03125, -0.5], abs=1e-6)
    assert frame.left_eye == pytest.approx([math.degrees(0.125), -math.degrees(0.25), 0.0], abs=1e-5)
    assert frame.right_eye == pytest.approx([math.degrees(0.125), -math.degrees(0.1875), 0.0], abs=1e-5)


def test_facecap() -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    packets = datagrams("facecap")
    assert max(map(len, packets)) <= 1472
    messages = readers.read_osc(packets)
    pose = {address: params for address, params in messages if address != "/W"}
    assert pose["/HT"] == pytest.approx([0.0625, 0.03125, -0.5])
    assert pose["/HR"] == pytest.approx([-10.0, 20.0, -5.0], abs=1e-4)
    assert len(pose["/HRQ"]) == 4 and pose["/HRQ"][3] > 0.9
    assert pose["/ELR"] == pytest.approx([math.degrees(0.125), -math.degrees(0.25)], abs=1e-5)
    weights = dict(params for address, params in messages if address == "/W")
    assert [weights[number] for number in range(52)] == [WEIGHTS[name] for name in readers.ARKIT_OF_APPLE_DOCUMENTATION]


def test_babble() -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    messages = readers.read_osc(datagrams("babble"))
    values = dict(messages)
    assert all(len(params) == 1 for params in values.values())
    assert values["/jawOpen"] == [WEIGHTS["jawOpen"]]
    assert values["/mouthSmileLeft"] == [WEIGHTS["mouthSmileLeft"]]
    assert values["/cheekPuffLeft"] == values["/cheekPuffRight"] == values["/cheekPuff"] == [WEIGHTS["cheekPuff"]]
    assert not [address for address in values if address.startswith(("/eye", "/brow"))]


def test_vrchat() -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    packets = datagrams("vrchat")
    assert max(map(len, packets)) <= 1472
    messages = dict(readers.read_osc(packets))
    assert messages["/avatar/parameters/FT/EyeTrackingActive"] == [True]
    # Degrees: down and right are positive; left pitch, left yaw, right pitch, right yaw.
    look = [math.degrees(angle) for angle in (0.125, 0.25, 0.125, 0.1875)]
    assert messages["/tracking/eye/LeftRightPitchYaw"] == pytest.approx(look, abs=1e-5)
    blinks = [WEIGHTS[f"eyeBlink{side}"] * (1 + WEIGHTS[f"eyeSquint{side}"]) for side in ("Left", "Right")]
    assert messages["/tracking/eye/EyesClosedAmount"] == pytest.approx([sum(blinks) / 2], abs=1e-6)

    def v2(name: str) -> float:
        (value,) = messages[f"/avatar/parameters/FT/v2/{name}"]
        return float(value)

    assert v2("JawOpen") == WEIGHTS["jawOpen"]
    assert v2("JawX") == pytest.approx(WEIGHTS["jawRight"] - WEIGHTS["jawLeft"])
    assert v2("MouthX") == pytest.approx(WEIGHTS["mouthRight"] - WEIGHTS["mouthLeft"])
    assert v2("EyeLidLeft") == pytest.approx(0.75 * (1 - blinks[0]) + 0.25 * WEIGHTS["eyeWideLeft"], abs=1e-6)
    assert v2("EyeLeftX") > 0 > v2("EyeLeftY")
    assert (v2("Head/Yaw"), v2("Head/Pitch"), v2("Head/Roll")) == pytest.approx((-20 / 90, -10 / 90, 5 / 90), abs=1e-6)
    assert v2("SmileFrownLeft") == pytest.approx(WEIGHTS["mouthSmileLeft"] - WEIGHTS["mouthFrownLeft"], abs=1e-6)
    rolled = min(1 - WEIGHTS["mouthUpperUpLeft"] ** (1 / 6), WEIGHTS["mouthRollUpper"])
    assert v2("LipSuckUpperLeft") == pytest.approx(rolled, abs=1e-6)
    names = [address for address in messages if "/v2/" in address]
    assert len(names) == len(set(names)) == 141
    assert all(-1.0 <= messages[address][0] <= 1.0 for address in names)


def test_openseeface() -> None:
    (data,) = datagrams("openseeface")
    assert len(data) == 1785
    (record,) = readers.read_openseeface(data)
    assert (record.face_id, record.resolution, record.got_3d) == (1, (640.0, 360.0), True)
    assert record.right_open == 1 - WEIGHTS["eyeBlinkRight"] and record.left_open == 1 - WEIGHTS["eyeBlinkLeft"]
    assert len(record.features) == 14 and all(-1.0 <= value <= 1.0 for value in record.features)
    # Right, up, forward from the camera; the nose hangs below and in front of the eyes.
    x, y, z = record.translation
    assert x > 0.0 and y != 0.0 and 3.0 < z < 5.0
    assert record.confidence[0] == 0.0


def test_opentrack() -> None:
    (data,) = datagrams("opentrack")
    pose = readers.read_opentrack(data)
    # Centimetres: left of the subject, up, away; degrees: right, up, left shoulder.
    assert [pose[axis] for axis in "xyz"] == pytest.approx([6.25, 3.125, 50.0], abs=1e-5)
    assert (pose["yaw"], pose["pitch"], pose["roll"]) == pytest.approx((-20.0, 10.0, 5.0), abs=1e-4)


def test_vts() -> None:
    token, authentication, creation, injection = (json.loads(text) for text in datagrams("vts"))
    for message in (token, authentication, creation, injection):
        assert message["apiName"] == "VTubeStudioPublicAPI" and message["apiVersion"] == "1.0"
        assert 1 <= len(message["requestID"]) <= 64
    assert token["messageType"] == "AuthenticationTokenRequest"
    assert all(3 <= len(token["data"][key]) <= 32 for key in ("pluginName", "pluginDeveloper"))
    assert authentication["messageType"] == "AuthenticationRequest"
    assert authentication["data"] == {**token["data"], "authenticationToken": "0123456789abcdef"}
    assert creation["messageType"] == "ParameterCreationRequest"
    assert creation["data"]["parameterName"].isalnum() and 4 <= len(creation["data"]["parameterName"]) <= 32
    assert creation["data"]["min"] < creation["data"]["max"] and len(creation["data"]["explanation"]) < 256
    assert injection["messageType"] == "InjectParameterDataRequest"
    assert injection["data"]["faceFound"] is True and injection["data"]["mode"] == "set"
    values = {item["id"]: item["value"] for item in injection["data"]["parameterValues"]}
    assert (values["FaceAngleX"], values["FaceAngleY"], values["FaceAngleZ"]) == pytest.approx((20, 10, -5), abs=1e-3)
    assert values["EyeLeftX"] < 0 and values["EyeLeftY"] < 0
    assert values["JawOpen"] == pytest.approx(WEIGHTS["jawOpen"], abs=1e-5)
    assert len(values) == len(injection["data"]["parameterValues"]) == 71
    assert all(4 <= len(name) <= 32 and name.isalnum() for name in values)


def test_lsl() -> None:
    (data,) = datagrams("lsl")

    values = dict(zip((label for label, _ in lsl.CHANNELS), struct.unpack("<68f", data), strict=True))
    assert values["jawOpen"] == WEIGHTS["jawOpen"] and ARKIT_INDEX["jawOpen"] == 17
    assert (values["head_yaw"], values["head_pitch"], values["head_roll"]) == pytest.approx((20, 10, 5), abs=1e-4)
    assert (values["head_x"], values["head_y"], values["head_z"]) == pytest.approx(golden.POSITION_M)
    assert values["gaze_left_yaw"] == pytest.approx(-math.degrees(0.25)) and values["tracked"] == 1.0
