"""Results of the tracker as what the Rerun viewer shows: the only module that knows Rerun's data types.

    camera/image                        pinhole; the video as JPEG
    camera/image/landmarks/N            the landmarks as found, those out of sight red
    camera/faces/N                      where face N is (camera axes, metres); N counts from 1, the largest face first
    camera/faces/N/head                 how it is turned
    camera/faces/N/head/mesh            the fitted surface, head axes
    camera/faces/N/head/contours        brows, lids, nose, lips, oval, as lines in the surface
    expression/NAME                     the 52 ARKit weights of face 1
    pose/yaw, pitch, roll               degrees; zero looks into the camera
    latency/NAME                        ms, p50 of every stage; total: capture to publish
    appearance/exposure, occlusion      of face 1, where estimated; light/ball: a white ball in that light
    state, events                       text

Times: ``time`` in seconds from the first frame, ``frame`` as the source counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.axes import facing_rotation, yaw_pitch_roll
from tracker.face_model import FaceModel
from tracker.rendering.contours import CONTOURS, LANDMARK_SET
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec
from tracker.types import HIDDEN_BELOW, Face, Float32, FrameResult
from tracker.view.layout import TIMELINE
from tracker.view.picture import Picture, light_ball

if TYPE_CHECKING:
    import rerun as rr

APPLICATION: Final = "facestream-tracker"
_CLAY: Final = (205, 210, 220)
_HELD: Final = (255, 178, 72)
_LINE: Final = (96, 230, 255)
_COLOURS: Final = {
    "brow": (255, 196, 84), "eyeL": (120, 200, 255), "eyeB": (88, 166, 255), "eyeS": (130, 220, 200), "eyeW": (160, 180, 255),
    "jaw": (150, 235, 150), "mouthS": (255, 120, 140), "mouthF": (220, 130, 255), "mouth": (255, 160, 120),
    "cheek": (240, 150, 190), "nose": (200, 200, 120), "tongue": (255, 90, 90),
}  # fmt: skip
# Solid: Rerun draws points that are not as darker ones.
_POINT: Final = (255, 255, 255, 255)
_HIDDEN_POINT: Final = (255, 90, 60, 255)
_POINT_RADIUS: Final = -1.3
"""Below zero: in points of the screen, however near one looks."""
_PICTURE_DISTANCE_M: Final = 0.3
_LIFT: Final = np.array([0.0, 0.0, 0.002], np.float32)
"""Lines lie a little in front of the surface, which would swallow parts of them."""


class ViewLog:
    """Writes results into a recording stream.

    Args:
        recording: where to.
        model: the face model whose parameters the results hold.
    """

    def __init__(self, recording: rr.RecordingStream, model: FaceModel) -> None:
        import rerun

        self._rr = rerun
        self._recording = recording
        self._model = model
        self._normals = NormalField(model.faces, model.vertex_count)
        self._contours = [np.array(c.points + c.points[:1] * c.closed) for c in CONTOURS]
        self._has_contours = LANDMARK_SET in model.embeddings
        self._first_ns: int | None = None
        self._latest_s = 0.0
        self._clock = ""
        self._slots: list[int | None] = []
        """Face ids by their place in the tree."""
        self._held: dict[int, bool] = {}
        self._tracked: set[int] = set()
        recording.set_log_time_enabled(False)
        recording.set_log_tick_enabled(False)
        for name in ARKIT_NAMES:
            colour = _colour(name)
            recording.log(f"expression/{name}", rerun.SeriesLines(colors=colour, names=name, widths=1.5), static=True)

    def frame(self, result: FrameResult, picture: Picture | None = None) -> None:
        """Show one frame; ``picture`` is its video frame."""
        self._set_time(result)
        scale = self._image(result, picture)
        faces = self._placed(result.faces)
        for slot, face in enumerate(faces):
            if face is not None:
                self._face(f"camera/faces/{slot + 1}", slot, face)
                self._landmarks(f"camera/image/landmarks/{slot + 1}", face, scale)
        if faces and faces[0] is not None:
            self._numbers(faces[0])
        self._comings_and_goings(result)

    def restart(self) -> None:
        """The tracker was restarted: its faces are other ones, and its clock may be, too."""
        for slot in range(len(self._slots)):
            self._clear(slot)
        self._slots, self._held, self._tracked = [], {}, set()
        self.event("restarted", "the tracker was restarted")
        self._first_ns = None

    def status(self, message: Mapping[str, Any]) -> None:
        """Show what a tracker says about itself: the keys of ``face/status/`` (docs/wire.md)."""
        latency = message.get("latency_ms") or {}
        timings = {"total": latency.get("p50")}
        timings |= {name: times.get("p50") for name, times in (message.get("stages") or {}).items()}
        for name, value in timings.items():
            if value is not None:
                self._recording.log(f"latency/{name}", self._rr.Scalars(float(value)))
        lines = [
            f"**{_shown(message.get('fps'), '.1f')}** frames/s, {_shown(message.get('faces'), 'd')} faces",
            f"capture to publish **{_shown(latency.get('p50'), '.1f')}** ms, p95 {_shown(latency.get('p95'), '.1f')}",
            f"dropped {_shown(message.get('dropped'), 'd')}, source {message.get('camera') or '-'}",
        ]
        self.state("  \n".join(lines))

    def state(self, markdown: str) -> None:
        """Show a text about the state of things."""
        self._recording.log("state", self._rr.TextDocument(markdown, media_type="text/markdown"))

    def event(self, kind: str, text: str) -> None:
        """Add a line to the events."""
        bad = kind in ("lost", "other_person", "calibration_failed", "withheld") or kind.endswith(("-lost", "stalled"))
        self._recording.log("events", self._rr.TextLog(f"{kind}  {text}".strip(), level="WARN" if bad else "INFO"))

    def _clear(self, slot: int) -> None:
        for path in (f"camera/faces/{slot + 1}", f"camera/image/landmarks/{slot + 1}"):
            self._recording.log(path, self._rr.Clear(recursive=True))

    def _set_time(self, result: FrameResult) -> None:
        if result.clock != self._clock or (self._first_ns is not None and result.t_capture_ns < self._first_ns):
            self._first_ns, self._clock = None, result.clock  # another source
        if self._first_ns is None:
            # After a restart the times go on where they were.
            self._first_ns = result.t_capture_ns - round(self._latest_s * 1e9)
        self._latest_s = (result.t_capture_ns - self._first_ns) * 1e-9
        self._recording.set_time(TIMELINE, duration=self._latest_s)
        self._recording.set_time("frame", sequence=result.index)

    def _image(self, result: FrameResult, picture: Picture | None) -> Float32:
        """Show the picture; returns (2,) its pixels for each of the camera's."""
        camera = result.camera
        width, height = (camera.width, camera.height) if picture is None else (picture.width, picture.height)
        across, down = width / camera.width, height / camera.height
        matrix = camera.matrix * np.array([[across], [down], [1.0]], np.float32)
        pinhole = self._rr.Pinhole(
            image_from_camera=matrix, resolution=[width, height], image_plane_distance=_PICTURE_DISTANCE_M
        )
        self._recording.log("camera/image", pinhole)
        if picture is not None:
            self._recording.log(
                "camera/image", self._rr.EncodedImage(contents=picture.jpeg, media_type="image/jpeg")
            )  # fmt: skip
        return np.array([across, down], np.float32)

    def _placed(self, faces: Sequence[Face]) -> list[Face | None]:
        """Faces by their place, which they keep while they are there; free places go to the largest face first."""
        by_id = {face.id: face for face in faces}
        for slot, face_id in enumerate(self._slots):
            if face_id is not None and face_id not in by_id:
                self._slots[slot] = None
                self._held.pop(slot, None)
                self._clear(slot)
        for face in sorted(faces, key=lambda face: -float(face.box[2] * face.box[3])):
            if face.id not in self._slots:
                if None in self._slots:
                    self._slots[self._slots.index(None)] = face.id
                else:
                    self._slots.append(face.id)
        return [None if face_id is None else by_id[face_id] for face_id in self._slots]

    def _face(self, path: str, slot: int, face: Face) -> None:
        rr, recording = self._rr, self._recording
        vertices = self._model.vertices_head(face.identity, face.params)
        if not np.isfinite(vertices).all():
            return
        if self._held.get(slot) != (not face.tracked):
            self._held[slot] = not face.tracked
            recording.log(
                f"{path}/head/mesh",
                rr.Mesh3D.from_fields(
                    triangle_indices=self._model.faces, albedo_factor=_CLAY if face.tracked else _HELD
                ),
            )
        recording.log(path, rr.Transform3D(translation=face.params.translation))
        recording.log(f"{path}/head", rr.Transform3D(mat3x3=matrix_from_rotvec(face.params.rotation)))
        recording.log(
            f"{path}/head/mesh",
            rr.Mesh3D.from_fields(vertex_positions=vertices, vertex_normals=self._normals(vertices)),
        )
        if self._has_contours:
            points = self._model.landmarks(vertices, LANDMARK_SET) + _LIFT
            colour = _LINE if face.tracked else _HELD
            lines = rr.LineStrips3D(
                [points[index] for index in self._contours], colors=colour, radii=rr.Radius.ui_points(1.2)
            )
            recording.log(f"{path}/head/contours", lines)

    def _landmarks(self, path: str, face: Face, scale: Float32) -> None:
        landmarks = face.landmarks
        if not len(landmarks.points):
            return
        colours: Any = _POINT
        if landmarks.visibility is not None:
            colours = np.where(landmarks.visibility[:, None] < HIDDEN_BELOW, _HIDDEN_POINT, _POINT).astype(np.uint8)
        points = self._rr.Points2D(landmarks.points[:, :2] * scale, colors=colours, radii=_POINT_RADIUS)
        self._recording.log(path, points)

    def _numbers(self, face: Face) -> None:
        rr, recording = self._rr, self._recording
        for name, weight in zip(ARKIT_NAMES, face.arkit.tolist(), strict=True):
            recording.log(f"expression/{name}", rr.Scalars(weight))
        angles = yaw_pitch_roll(facing_rotation(face.quaternion))
        for name, angle in zip(("yaw", "pitch", "roll"), angles, strict=True):
            recording.log(f"pose/{name}", rr.Scalars(math.degrees(angle)))
        if face.light is not None:
            recording.log("appearance/exposure", rr.Scalars(face.light.exposure))
            recording.log("light/ball", rr.Image(light_ball(face.light.sh)))
        if face.occlusion is not None:
            recording.log("appearance/occlusion", rr.Scalars(face.occlusion.fraction))

    def _comings_and_goings(self, result: FrameResult) -> None:
        tracked = {face.id for face in result.faces if face.tracked}
        for face_id in sorted(tracked - self._tracked):
            self.event("tracked", f"face {face_id} from frame {result.index}")
        for face_id in sorted(self._tracked - tracked):
            self.event("lost", f"face {face_id} at frame {result.index}")
        self._tracked = tracked


def _colour(name: str) -> tuple[int, int, int]:
    base = next(colour for start, colour in _COLOURS.items() if name.startswith(start))
    # The right side darker than the left one.
    return (base[0] * 3 // 5, base[1] * 3 // 5, base[2] * 3 // 5) if name.endswith("Right") else base


def _shown(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
