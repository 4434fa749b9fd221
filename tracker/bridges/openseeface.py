"""OpenSeeFace's UDP records: VSeeFace, VTube Studio, vpuppr and the Unity component.

A datagram is one record of 1785 bytes per face, little-endian, without padding: time f64, face id i32, then f32: width, height,
openness of right and left eye; u8 success; f32: fit error, quaternion xyzw, Euler angles in degrees, translation, 68
confidences, 68 image points, 70 points in the face's own axes, 14 features.

OpenSeeFace solves its pose with rows as x and columns as y, for a face whose x grows to the subject's *right*, whose y is up,
whose z comes out of the face, whose origin is the tip of the nose and whose unit is about an eighth of a metre; and its
solution lies behind the camera. With S swapping x and y of the camera, F mirroring x of the head and B = diag(-1, -1, 1) its
rotation is B S R F and its translation -S t; the quaternion is that of the transpose; the Euler angles (x, y, z; R = Rz Ry Rx)
are (180, 0, 90) for a face that looks into the camera. Receivers undo all of it, so it has to be there: ``Unity/OpenSee.cs``
subtracts those 180 and 90 degrees and takes (-y, x, -z) of the translation for right, up, forward, which comes out right only
for a head behind the camera. Read in ``facetracker.py``, ``tracker.py``, ``OpenSee.cs`` and ``OpenSeeIKTarget.cs``;
``cv2.solvePnP`` called in its way finds that solution (tests/bridges/test_signs.py); not compared with a running OpenSeeFace.
Left out is its principal point, which it applies to swapped axes: a shift that grows with the distance.

Points come from the fitted face model. A stream whose model is not at hand still gives pose, eyes, gaze and features: then the
confidences are zero, as are all points but pupils and eyes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.bridge import Bridge, BridgeFrame, Float64
from tracker.bridges.face_points import FacePoints
from tracker.bridges.spec import BridgeSpec
from tracker.bridges.udp import UdpSender
from tracker.errors import FaceModelError, PublishError
from tracker.face_model.model import FaceModel
from tracker.rotations import matrix_from_quaternion, quaternion_from_matrix
from tracker.types import Face, FrameResult

_HEAD = struct.Struct("<d i 4f B f 4f 3f 3f")
RECORD_SIZE = _HEAD.size + 4 * (68 + 136 + 210 + 14)
MOST_FACES = 36
"""What fits into one datagram."""
UNIT_M = 0.122
"""Metres per unit: the pupils of its face lie 0.516 apart, those of people 63 mm."""
_NOSE_TIP = 30
_PUPIL_RADIUS_M = 0.0125
_SWAP = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_BEHIND_SWAP = np.diag([-1.0, -1.0, 1.0]) @ _SWAP
_MIRROR = np.array([-1.0, 1.0, 1.0])
_NOSE_IN_HEAD_M = np.array([0.0, -0.035, 0.045])
_EYES_IN_HEAD_M = np.array([[-0.0315, 0.0, 0.0], [0.0315, 0.0, 0.0]])


def open_bridge(spec: BridgeSpec) -> Bridge:
    """No options."""
    return OpenSeeFaceBridge(spec.host, spec.port)


class OpenSeeFaceBridge(Bridge):
    """Sends all tracked faces; nothing while nobody is there, as OpenSeeFace does."""

    needs_model = True

    def __init__(self, host: str, port: int) -> None:
        self._udp = UdpSender(host, port)
        self._points: FacePoints | None = None
        self._model: FaceModel | None = None

    @property
    def target(self) -> str:
        return f"openseeface to {self._udp.target}"

    def send(self, frame: BridgeFrame) -> None:
        trouble = self._follow_model(frame.model)
        faces = [face for face in frame.result.faces if face.tracked]
        if faces:
            try:
                self._udp.send(encode(frame.result, faces, self._points))
            except FaceModelError as error:
                self._points, trouble = None, str(error)
                self._udp.send(encode(frame.result, faces, None))
        if trouble is not None:
            raise PublishError(f"{trouble}; sending pose, eyes and features without landmarks")

    def close(self) -> None:
        self._udp.close()

    def _follow_model(self, model: FaceModel | None) -> str | None:
        """Prepare another model; what is wrong with it, if anything."""
        if model is None:
            return "the stream's face model is not on this machine"
        if model is not self._model:
            self._model, self._points = model, None
            try:
                self._points = FacePoints(model)
            except FaceModelError as error:
                return str(error)
        return None if self._points is not None else f"face model '{model.name}' does not fit the stream"


def encode(result: FrameResult, faces: Sequence[Face], points: FacePoints | None) -> bytes:
    """One datagram with ``faces`` of ``result``. Raises FaceModelError when ``points`` are another model's."""
    return b"".join(_record(result, face, points) for face in faces[:MOST_FACES])


def _record(result: FrameResult, face: Face, points: FacePoints | None) -> bytes:
    camera = result.camera
    rotation = matrix_from_quaternion(face.quaternion)
    position = face.position.astype(np.float64)
    marks = np.zeros((66, 3))
    confidence = np.zeros(68)
    eyes, nose = _EYES_IN_HEAD_M, _NOSE_IN_HEAD_M
    if points is not None:
        marks, eyes = (array.astype(np.float64) for array in points(face))
        nose = marks[_NOSE_TIP]
        confidence[:66] = face.confidence * points.weight
        confidence[66:] = face.confidence
    pupils = eyes + _PUPIL_RADIUS_M * np.array([_direction(*face.gaze_right), _direction(*face.gaze_left)])
    in_head = np.concatenate([marks, pupils, eyes])
    seen = in_head[:68] @ rotation.T + position
    image = camera.focal_px * seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) + (camera.cx, camera.cy)
    # Mirrored in x as its axes are, and in y and z as they are written.
    own = (nose - in_head) / UNIT_M
    if points is None:
        image[:66], own[:66] = 0.0, 0.0
    turned = _BEHIND_SWAP @ rotation * _MIRROR
    moved = -_SWAP @ (rotation @ nose + position) / UNIT_M
    weights = dict(zip(ARKIT_NAMES, face.arkit.tolist(), strict=True))
    open_right, open_left = 1.0 - weights["eyeBlinkRight"], 1.0 - weights["eyeBlinkLeft"]
    head = _HEAD.pack(
        result.t_unix_ns * 1e-9, face.id & 0x7FFFFFFF, camera.width, camera.height, open_right, open_left,
        1, face.residual_px, *quaternion_from_matrix(turned.T).tolist(), *_euler(turned), *moved.tolist(),
    )  # fmt: skip
    rest = np.concatenate([confidence, image.ravel(), own.ravel(), features(weights)])
    return head + rest.astype("<f4").tobytes()


def features(weights: Mapping[str, float]) -> tuple[float, ...]:
    """The 14 features, -1..1 with 0 for a relaxed face, from ARKit's weights by name."""
    values = [weights[f"eyeWide{side}"] - weights[f"eyeBlink{side}"] for side in ("Left", "Right")]
    inner, pucker = weights["browInnerUp"], weights["mouthPucker"]
    for side in ("Left", "Right"):
        outer, down = weights[f"browOuterUp{side}"], weights[f"browDown{side}"]
        # Steep: the inner end up or the outer end down. Quirk: the outer end up alone.
        values += [_clip(inner - outer - down), _clip(0.5 * (inner + outer) - down), _clip(outer - inner)]
    wide = 0.0
    for side in ("Left", "Right"):
        smile, stretch = weights[f"mouthSmile{side}"], weights[f"mouthStretch{side}"]
        wide += 0.25 * (smile + stretch)
        values += [_clip(smile - weights[f"mouthFrown{side}"]), _clip(0.5 * (smile + stretch) - pucker)]
    return (*values, _clip(weights["jawOpen"] - weights["mouthClose"]), _clip(wide - pucker))


def _direction(yaw: float, pitch: float) -> tuple[float, float, float]:
    """Where an eye looks, in head axes."""
    return math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw)


def _euler(m: Float64) -> tuple[float, float, float]:
    """Degrees about x, y, z of ``m = Rz Ry Rx``, with y in -90..90."""
    x, y, z = math.atan2(m[2, 1], m[2, 2]), math.asin(max(-1.0, min(1.0, -m[2, 0]))), math.atan2(m[1, 0], m[0, 0])
    return math.degrees(x), math.degrees(y), math.degrees(z)


def _clip(value: float) -> float:
    return max(-1.0, min(1.0, value))
