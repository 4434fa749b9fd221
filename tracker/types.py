"""The values that travel through the pipeline: frame -> observation -> face -> frame result.

Stages know these types and not each other. Conventions (docs/architecture.md): metres, radians, nanoseconds; images are
RGB uint8 (H, W, 3); camera axes are OpenCV's (x right, y down, z forward); head axes are FLAME's (x to the subject's left,
y up, z out of the face); quaternions are xyzw; image points are pixels with the centre of the top-left pixel at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera

Clock = Literal["CLOCK_MONOTONIC", "media"]
Float32 = NDArray[np.float32]
ImageRGB = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source, upright, with the time it was captured."""

    image: ImageRGB
    """RGB uint8 (H, W, 3), rotation metadata already applied."""
    index: int
    """Position in the source, from 0; in live sources it also counts frames dropped before this one."""
    t_capture_ns: int
    """Capture time on ``clock``: presentation time for files, driver or read time for live sources."""
    clock: Clock
    t_unix_ns: int
    """The capture instant as Unix time (for files: when the frame was read), for logs."""
    pts_s: Fraction | None = None
    """Exact presentation time in seconds where the source has one."""
    rate: Fraction | None = None
    """The nominal frame rate of the source in 1/s where it states one."""

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Detection:
    """A face as the detector sees it, in image pixels."""

    box: Float32
    """(4,) x, y, width, height."""
    keypoints: Float32
    """(6, 2): right eye, left eye (the subject's), nose tip, mouth, right ear, left ear."""
    score: float


HIDDEN_BELOW: Final = 0.5
"""A landmark less likely than this to be in sight is shown as hidden."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Image landmarks of one face."""

    set_name: str
    """Which points these are, e.g. ``mediapipe478``; face models carry an embedding of the same name."""
    points: Float32
    """(N, 3): x, y in image pixels and relative depth z in pixels (smaller is nearer)."""
    sigma: Float32
    """(N,) standard deviation of the x and y error of each point, in pixels."""
    visibility: Float32 | None = None
    """(N,) probability that each point is in sight, not behind a hand, hair or the face itself; None: not known."""


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """What the encoder saw of one face in one frame: the input of the fit."""

    face_id: int
    """Unique for the life of the stream; kept across a short loss."""
    age: int
    """Frames since this id was first seen."""
    landmarks: Landmarks
    presence: float
    """Probability in 0..1 that a face is there."""
    box: Float32
    """(4,) x, y, width, height of the landmarks in pixels."""
    arkit_hint: Float32 | None = None
    """(52,) expression scores in 0..1 in ``ARKIT_NAMES`` order, or None when the encoder gives none."""


@dataclass(frozen=True, slots=True)
class FaceParams:
    """A face in the parameters of its face model. ``vertices_camera = R(rotation) @ vertices_head + translation``."""

    expression: Float32
    """(Ne,) weights in the order of ``FaceModel.expression_names``."""
    rotation: Float32
    """(3,) axis-angle, radians, head axes to camera axes; a face that looks into the camera has (pi, 0, 0)."""
    translation: Float32
    """(3,) metres, head origin in the camera frame."""
    neck: Float32
    """(3,) axis-angle, radians; zero unless the model fits it."""
    jaw: Float32
    """(3,) axis-angle, radians."""
    eyes: Float32
    """(6,) axis-angle left eye then right eye, radians, relative to the head."""
    eyelids: Float32
    """(2,) closure of the left and right lid in 0..1."""


@dataclass(frozen=True, slots=True)
class IdentityState:
    """How far a face's identity coefficients can be trusted."""

    confidence: float
    """0..1: share of the population's variance of the face's shape (size apart) that is known."""
    frozen: bool
    """Whether new frames have stopped changing it."""
    keyframes: int
    """How many frames it was learnt from."""
    sigma: Float32
    """(Ni,) standard deviation of the error of each coefficient, 0..1; 1 where nothing but the population is known."""


@dataclass(frozen=True, slots=True)
class Albedo:
    """What is known about the reflectance of a person's skin."""

    points: Float32
    """(P, 3) linear RGB reflectance in 0..1 at the skin points of ``appearance.points``."""
    seen: Float32
    """(P,) how well each point itself has been seen, 0..1; the others follow from symmetry and their surroundings."""
    coverage: float
    """Share of the points that have been seen, 0..1."""
    version: int
    """Grows whenever the values changed enough to matter."""


class KnownIdentity(NamedTuple):
    """An identity as it is announced: version, coefficients (Ni,), how far they can be trusted and what the skin is like,
    where that is known.
    """

    version: int
    shape: Float32
    state: IdentityState | None = None
    albedo: Albedo | None = None


PARAM_SIZES: Final[dict[str, int | None]] = {
    "expression": None,
    "rotation": 3,
    "translation": 3,
    "neck": 3,
    "jaw": 3,
    "eyes": 6,
    "eyelids": 2,
}
"""Entries of each array of ``FaceParams``; the expression's count is the face model's."""


@dataclass(frozen=True, slots=True)
class Illumination:
    """Light on a face, as the camera's exposure and white balance render it."""

    sh: Float32
    """(9, 3) spherical harmonics of irradiance over pi for linear red, green, blue; camera axes (``appearance.light``)."""
    exposure: float
    """Luminance of a white ball in this light, averaged over the half that faces the camera; 1 is the camera's white."""
    white_balance: Float32
    """(3,) colour of the average light over its luminance; (1, 1, 1) is the camera's white."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Which parts of a face something covers."""

    fraction: float
    """Covered share of the visible skin, 0..1."""
    regions: Float32
    """(R,) covered share of each of the model's regions, 0..1; 0 where none of a region is in view."""
    points: Float32
    """(P,) probability of being covered at each skin point of ``appearance.points``, 0..1."""
    visible: NDArray[np.bool_]
    """(P,) skin points that face the camera, lie in the picture and are not behind other skin."""


@dataclass(frozen=True, slots=True)
class Face:
    """One tracked face in one frame: what gets published."""

    id: int
    tracked: bool
    """False while a face that was just lost is being held."""
    confidence: float
    """0..1."""
    age: int
    box: Float32
    """(4,) x, y, width, height in pixels."""
    params: FaceParams
    """Smoothed."""
    raw: FaceParams
    """The same before smoothing."""
    identity: Float32
    """(Ni,) shape coefficients; N(0, 1) is the population."""
    identity_version: int
    """Grows whenever ``identity`` changes, so that publishers send it only then."""
    position: Float32
    """(3,) metres, head origin in the camera frame."""
    quaternion: Float32
    """(4,) xyzw, head axes to camera axes."""
    arkit: Float32
    """(52,) smoothed weights in 0..1 in ``ARKIT_NAMES`` order."""
    gaze_left: Float32
    """(2,) yaw, pitch of the subject's left eye relative to the head, radians; yaw + to the subject's left, pitch + up."""
    gaze_right: Float32
    landmarks: Landmarks
    residual_px: float
    """Median distance between observed and fitted landmarks."""
    arkit_raw: Float32 | None = None
    identity_state: IdentityState | None = None
    light: Illumination | None = None
    """None where appearance is not estimated, as with the next two."""
    occlusion: Occlusion | None = None
    albedo: Albedo | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened with a frame and that users should hear of: ``face/event/`` on the wire."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Plain values."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything known about one frame. ``faces`` is empty when nobody is there."""

    index: int
    t_capture_ns: int
    clock: Clock
    t_unix_ns: int
    camera: Camera
    faces: tuple[Face, ...]
    pts_s: Fraction | None = None
    rate: Fraction | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)
    """Time spent on this frame per stage, milliseconds."""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class SkinView:
    """What a picture shows at M skin points of a face in a pose that is tried, against what is known about the skin."""

    points: Float32
    """(3, M) camera frame, metres."""
    error: Float32
    """(M,) log of predicted over shown luminance."""
    slope: Callable[[], Float32]
    """Finds the gradient (2, M) of the picture's log luminance, per pixel to the right and down."""
    sigma: Float32
    """(M,) usual standard deviation of ``error``."""
    weight: Float32
    """(M,) 0..1: 0 where a point is clipped, turned away or not known yet."""
    covered: Float32
    """(M,) probability that something was in front of the point in the last frame."""
    is_bare: NDArray[np.bool_]
    """(M,) plain skin, which looks the same whatever the face does: not brow, eye or mouth."""
    index: NDArray[np.intp]
    """(M,) which of the face's points these are."""
    stiffness: Float32
    """(M,) 0..1: 1 where expressions move nothing."""
    total: int
    """How many points the face has, seen or not."""
