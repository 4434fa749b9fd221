"""Which way is which: a face that turns one way comes out of each protocol as its readers expect; left stays left."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.bridges import readers
from tests.bridges.conftest import MakeFace
from tools.make_golden_wire import make_result
from tracker.bridges import ifacialmocap, livelink, lsl, openseeface, opentrack, unified, vts_parameters
from tracker.bridges.axes import unity_position
from tracker.bridges.bridge import BridgeFace, BridgeFrame
from tracker.bridges.facecap import FaceCapBridge
from tracker.bridges.vmc import VmcBridge
from tracker.bridges.vrchat import VRChatBridge
from tracker.rotations import matrix_from_quaternion
from tracker.types import Face

ANGLE = 0.3
Read = Callable[[Face], tuple[float, float, float]]
"""A face -> yaw, pitch, roll of its head, in radians, in the protocol's own senses."""


def _livelink(face: Face) -> tuple[float, float, float]:
    return livelink.values(BridgeFace.of(face))[52:55]  # type: ignore[return-value]


def _ifacialmocap(face: Face) -> tuple[float, float, float]:
    x, y, z = readers.read_ifacialmocap(ifacialmocap.encode(BridgeFace.of(face)), "-").head[:3]
    return math.radians(y), math.radians(x), math.radians(z)


def _facecap(face: Face) -> tuple[float, float, float]:
    bridge = FaceCapBridge("127.0.0.1", 9)
    messages = readers.read_osc(bridge.encode(BridgeFace.of(face)))
    bridge.close()
    x, y, z = next(params for address, params in messages if address == "/HR")
    return math.radians(y), math.radians(x), math.radians(z)


def _opentrack(face: Face) -> tuple[float, float, float]:
    pose = readers.read_opentrack(opentrack.encode(BridgeFace.of(face)))
    return math.radians(pose["yaw"]), math.radians(pose["pitch"]), math.radians(pose["roll"])


def _vrchat(face: Face) -> tuple[float, float, float]:
    values = unified.v2_parameters(BridgeFace.of(face))
    yaw, pitch, roll = (values[f"Head/{angle}"] * math.pi / 2 for angle in ("Yaw", "Pitch", "Roll"))
    return yaw, pitch, roll


def _vts(face: Face) -> tuple[float, float, float]:
    values = vts_parameters.standard_values(BridgeFace.of(face), np.zeros(3))
    yaw, pitch, roll = (math.radians(values[f"FaceAngle{axis}"]) for axis in "XYZ")
    return yaw, pitch, roll


def _lsl(face: Face) -> tuple[float, float, float]:
    values = lsl.sample(BridgeFrame(make_result(face), BridgeFace.of(face), None))  # type: ignore[arg-type]
    labels = [label for label, _ in lsl.CHANNELS]
    yaw, pitch, roll = (math.radians(values[labels.index(f"head_{name}")]) for name in ("yaw", "pitch", "roll"))
    return yaw, pitch, roll


HEADS: dict[str, tuple[Read, str]] = {
    # What is positive: yaw to the subject's (l)eft or (r)ight, pitch (u)p or (d)own, roll to the (l)eft or (r)ight shoulder.
    "livelink": (_livelink, "lur"),
    "ifacialmocap": (_ifacialmocap, "ldr"),
    "facecap": (_facecap, "ldr"),
    "opentrack": (_opentrack, "rul"),
    "vrchat": (_vrchat, "rdl"),
    "vts": (_vts, "lur"),
    "lsl": (_lsl, "lul"),
}


@pytest.mark.parametrize("protocol", HEADS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_heads(posed_face: MakeFace, protocol: str, axis: int) -> None:
    if protocol == "facecap":
        pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    read, positive = HEADS[protocol]
    # Left, up, left shoulder.
    face = posed_face(**{("yaw", "pitch", "roll")[axis]: ANGLE})
    expected = [0.0, 0.0, 0.0]
    expected[axis] = ANGLE if positive[axis] in "lul"[axis] else -ANGLE
    assert read(face) == pytest.approx(expected, abs=1e-5)


def unity_bone(messages: list[tuple[str, list[object]]], bone: str) -> np.ndarray:
    """Where a bone's forward axis points in Unity: x right, y up, z forward of the avatar."""
    values = next(params for address, params in messages if address == "/VMC/Ext/Bone/Pos" and params[0] == bone)
    return matrix_from_quaternion(np.array(values[4:8], np.float64)) @ [0.0, 0.0, 1.0]


def test_vmc_bones(posed_face: MakeFace) -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    bridge = VmcBridge("127.0.0.1", 9, neck=0.5)
    face = posed_face(yaw=ANGLE, pitch=0.1, gaze_left=(0.2, 0.1), gaze_right=(-0.2, -0.1))
    messages = readers.read_osc(bridge.encode(BridgeFace.of(face), 0.0))
    head, left, right = (unity_bone(messages, bone) for bone in ("Head", "LeftEye", "RightEye"))
    assert head[0] < -0.1 and head[1] > 0.02 and head[2] > 0.9
    assert left[0] < -0.1 and left[1] > 0.05
    assert right[0] > 0.1 and right[1] < -0.05
    # A quaternion of Unity composes as any other: neck and head give the whole turn.
    whole = np.eye(3)
    for bone in ("Neck", "Head"):
        values = next(params for address, params in messages if address == "/VMC/Ext/Bone/Pos" and params[0] == bone)
        whole = whole @ matrix_from_quaternion(np.array(values[4:8], np.float64))
    forward = whole @ [0.0, 0.0, 1.0]
    assert math.atan2(-forward[0], forward[2]) == pytest.approx(ANGLE, abs=1e-5)
    bridge.close()


def test_unity_position_puts_the_subjects_left_at_the_avatars_left() -> None:
    assert unity_position(np.array([0.1, 0.2, -0.5]))[0] == -0.1


@pytest.mark.parametrize(
    ("pose", "check"),
    [
        # The component's own numbers: x about its right axis, y about up, z about forward, degrees; all zero in front.
        ({}, lambda x, y, z: abs(x) < 1e-3 and abs(y) < 1e-3 and abs(z) < 1e-3),
        ({"pitch": ANGLE}, lambda x, y, z: abs(abs(x) - math.degrees(ANGLE)) < 1e-3 and abs(z) < 1e-3),
        ({"yaw": ANGLE}, lambda x, y, z: abs(abs(y) - math.degrees(ANGLE)) < 1e-3 and abs(z) < 1e-3),
        ({"roll": ANGLE}, lambda x, y, z: abs(abs(z) - math.degrees(ANGLE)) < 1e-3 and abs(x) < 1e-3),
    ],
)
def test_openseeface_angles(posed_face: MakeFace, pose: dict[str, float], check: Callable[..., bool]) -> None:
    face = posed_face(**pose)
    (record,) = readers.read_openseeface(openseeface.encode(make_result(face), [face], None))
    x, y, z = (math.remainder(angle, 360.0) for angle in record.rotation)
    assert check(x, y, z), record.rotation


def openseeface_rotation(face: Face) -> np.ndarray:
    """The rotation matrix of its solution: the quaternion on the wire is the transpose's."""
    (record,) = readers.read_openseeface(openseeface.encode(make_result(face), [face], None))
    return matrix_from_quaternion(np.array(record.raw_quaternion)).T


@pytest.mark.parametrize("pose", [{}, {"yaw": ANGLE}, {"pitch": ANGLE}, {"roll": ANGLE}])
def test_openseeface_pose_puts_its_points_where_the_picture_has_them(
    posed_face: MakeFace, pose: dict[str, float]
) -> None:
    """Its solution lies behind a camera whose x counts rows: the middle of the face ends up where it is, sides are sides."""
    face = posed_face(position=(0.05, -0.03, 0.6), **pose)
    (record,) = readers.read_openseeface(openseeface.encode(make_result(face), [face], None))
    x, y, z = record.translation
    translation = np.array([y, -x, -z])
    rotation = openseeface_rotation(face)
    focal, centre = 734.0, np.array([180.0, 320.0])

    def project(point: list[float]) -> np.ndarray:
        row, column, depth = rotation @ np.array(point) + translation
        return np.array([row, column]) / depth * focal + centre

    right, left, brow = project([0.3, 0.0, 0.0]), project([-0.3, 0.0, 0.0]), project([0.0, 0.3, 0.0])
    if pose.keys() <= {"pitch"}:
        assert right[1] < left[1] and abs(right[0] - left[0]) < 3.0
    assert brow[0] < project([0.0, 0.0, 0.0])[0]
    nose = np.array([0.0, -0.035, 0.045])
    seen = matrix_from_quaternion(face.quaternion) @ nose + face.position
    image = seen[:2] / seen[2] * focal + (320.0, 180.0)
    assert project([0.0, 0.0, 0.0]) == pytest.approx(image[::-1], abs=0.1)


def test_openseeface_points_are_on_the_face() -> None:
    from dataclasses import replace

    from tools.make_golden_wire import make_face
    from tracker.bridges.face_points import FacePoints
    from tracker.face_model import load_face_model

    model = load_face_model()
    points = FacePoints(model)
    face = replace(
        make_face(), params=model.neutral_params(), identity=np.zeros(model.identity_count, np.float32),
        position=np.array([0.0, 0.0, 0.5], np.float32), gaze_left=np.array([0.3, 0.0]), gaze_right=np.array([0.3, 0.0]),
    )  # fmt: skip
    (record,) = readers.read_openseeface(openseeface.encode(make_result(face), [face], points))
    image = np.array(record.points)
    # Points 0..16 run along the jaw from the subject's right, which is the picture's left; 8 is the chin.
    assert image[0, 0] < image[8, 0] < image[16, 0] and image[:66, 1].argmax() in (7, 8, 9)
    # 36..41 right eye, 42..47 left eye, 30 the tip of the nose, 58 and 62 the corners of the mouth, 61/64 its lips.
    assert image[36:42, 0].max() < image[30, 0] < image[42:48, 0].min()
    assert image[58, 0] == image[48:66, 0].min() and image[62, 0] == image[48:66, 0].max()
    assert image[50, 1] < image[60, 1] <= image[64, 1] < image[55, 1]
    # The whole mesh's landmarks are the same.
    whole = model.landmarks(model.vertices_camera(face.identity, face.params), "ibug68")
    camera = make_result().camera
    assert image[30] == pytest.approx(camera.project(whole[30]), abs=0.01)
    cloud = np.array(record.points_3d)
    assert np.linalg.norm(cloud[30]) < 1e-5
    # As the component reads them x grows to the subject's right: right eye's centre, left eye's centre.
    assert cloud[68, 0] > 0.2 > -0.2 > cloud[69, 0]
    # The pupils are before the eyes (z grows backwards after its sign change) and on the subject's left of them.
    assert cloud[66, 0] < cloud[68, 0] and cloud[67, 0] < cloud[69, 0]
    assert record.confidence[30] > 0.5


def test_each_eye_keeps_its_side(posed_face: MakeFace) -> None:
    """Only the left eye blinks and looks aside."""
    face = posed_face(gaze_left=(0.3, 0.0), eyeBlinkLeft=1.0)
    main = BridgeFace.of(face)
    values = livelink.values(main)
    assert values[0] == 1.0 and values[7] == 0.0 and values[55] == pytest.approx(-0.3) and values[58] == 0.0
    frame = readers.read_ifacialmocap(ifacialmocap.encode(main), "-")
    assert (frame.weights["eyeBlink_L"], frame.weights["eyeBlink_R"]) == (1.0, 0.0)
    assert frame.left_eye[1] > 10.0 and frame.right_eye[1] == 0.0
    v2 = unified.v2_parameters(main)
    assert (v2["EyeOpenLeft"], v2["EyeOpenRight"]) == (0.0, 1.0) and v2["EyeLeftX"] < 0.0 == v2["EyeRightX"]
    vts = vts_parameters.standard_values(main, np.zeros(3))
    assert (vts["EyeOpenLeft"], vts["EyeOpenRight"]) == (0.0, 1.0) and vts["EyeLeftX"] > 0.0 == vts["EyeRightX"]
    (record,) = readers.read_openseeface(openseeface.encode(make_result(face), [face], None))
    assert (record.left_open, record.right_open) == (0.0, 1.0)
    assert record.features[0] == -1.0 and record.features[1] == 0.0


def test_native_gaze_of_vrchat(posed_face: MakeFace) -> None:
    pytest.importorskip("pythonosc", reason="the independent reader of OSC")
    bridge = VRChatBridge("127.0.0.1", 9, send="native")
    face = BridgeFace.of(posed_face(gaze_left=(0.2, 0.1), gaze_right=(0.2, 0.1), eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    messages = dict(readers.read_osc(bridge.encode(face)))
    bridge.close()
    assert set(messages) == {"/tracking/eye/LeftRightPitchYaw", "/tracking/eye/EyesClosedAmount"}
    # Left and up: both negative.
    assert messages["/tracking/eye/LeftRightPitchYaw"] == pytest.approx(
        [-math.degrees(0.1), -math.degrees(0.2)] * 2, abs=1e-4
    )
    assert messages["/tracking/eye/EyesClosedAmount"] == [1.0]


def test_openseeface_points_are_the_models_with_an_open_jaw_and_turned_eyes() -> None:
    from dataclasses import replace

    from tools.make_golden_wire import make_face
    from tracker.bridges.face_points import IBUG_OF_OPENSEE, FacePoints
    from tracker.face_model import load_face_model

    model = load_face_model()
    points = FacePoints(model)
    generator = np.random.default_rng(2)
    weights = generator.uniform(0.0, 0.8, model.expression_count).astype(np.float32)
    params = model.params_of(weights, np.array([np.pi, 0.0, 0.0]), np.array([0.0, 0.0, 0.5]))
    assert np.abs(params.jaw).max() > 0.05
    identity = generator.normal(size=model.identity_count).astype(np.float32)
    for neck in (np.zeros(3, np.float32), np.array([0.0, 0.2, 0.0], np.float32)):
        face = replace(make_face(), params=replace(params, neck=neck), identity=identity)
        expected = model.landmarks(model.vertices_head(identity, face.params), "ibug68")[list(IBUG_OF_OPENSEE)]
        found, eyes = points(face)
        assert np.abs(found - expected).max() < 1e-6
        assert eyes[0, 0] < 0.0 < eyes[1, 0]


def test_openseeface_pose_moves_as_its_own_solver_finds_it(posed_face: MakeFace) -> None:
    """OpenSeeFace calls ``cv2.solvePnP`` with rows and columns, its own axes and no first guess: its solution lies behind the
    camera, and turns as ours does. (It is off by a constant turn, since perspective is the wrong way round there.)"""
    from dataclasses import replace

    import cv2

    from tracker.bridges.face_points import FacePoints
    from tracker.camera import Camera
    from tracker.face_model import load_face_model
    from tracker.rotations import rotvec_from_matrix

    model = load_face_model()
    points = FacePoints(model)
    contour = [0, 1, 8, 15, 16, 27, 28, 29, 30, 31, 32, 33, 34, 35]
    camera = np.array([[640.0, 0.0, 180.0], [0.0, 640.0, 320.0], [0.0, 0.0, 1.0]])

    def poses(**pose: float) -> tuple[np.ndarray, np.ndarray]:
        shape = {"params": model.neutral_params(), "identity": np.zeros(model.identity_count, np.float32)}
        face = replace(posed_face(position=(0.0, 0.0, 0.7), **pose), **shape)
        result = replace(make_result(face), camera=Camera(640, 360, 640.0, 320.0, 180.0))
        (record,) = readers.read_openseeface(openseeface.encode(result, [face], points))
        own = np.array(record.points_3d)[:66] * (1.0, 1.0, -1.0)
        seen = np.array(record.points)[:66, ::-1]
        zero = np.zeros(3)
        _, turn, move = cv2.solvePnP(
            own[contour], seen[contour], camera, np.zeros(4), zero, zero.copy(), True, cv2.SOLVEPNP_ITERATIVE
        )
        assert move[2, 0] < 0.0 and -record.translation[2] < 0.0
        # Down, right: what moves the picture of the nose moves both the same way.
        assert np.sign(move[0, 0]) == np.sign(record.translation[1])
        return cv2.Rodrigues(turn)[0], matrix_from_quaternion(np.array(record.raw_quaternion)).T

    theirs_in_front, ours_in_front = poses()
    assert np.linalg.norm(rotvec_from_matrix(theirs_in_front @ ours_in_front.T)) < 0.35
    for pose in ({"yaw": ANGLE}, {"yaw": -ANGLE}, {"pitch": ANGLE}, {"pitch": -ANGLE}, {"roll": ANGLE}):
        theirs, ours = poses(**pose)
        change, our_change = rotvec_from_matrix(theirs @ theirs_in_front.T), rotvec_from_matrix(ours @ ours_in_front.T)
        cosine = change @ our_change / (np.linalg.norm(change) * np.linalg.norm(our_change))
        assert cosine > 0.9 and 0.6 < np.linalg.norm(change) / np.linalg.norm(our_change) < 1.6, pose
