"""The fit stage: observations of one frame in, published faces out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.enrolment.file import Enrolment
from tracker.face_model import FaceModel
from tracker.fitting.calibration import NeutralCalibration
from tracker.fitting.covering import Covering, widened
from tracker.fitting.fitter import FaceFitter, FitConfig, FittedFace
from tracker.fitting.mapped_prior import has_own_expressions
from tracker.fitting.neutral import NeutralReference
from tracker.fitting.recenter import Recenter
from tracker.fitting.residuals import FitState
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec, quaternion_from_matrix
from tracker.smoothing import FaceSmoother, PictureStillness, SmoothingConfig
from tracker.types import Face, FaceObservation, FaceParams, ImageRGB, Notice, SkinView

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_FORGET_AFTER_NS = 10_000_000_000


class KnownSkin(Protocol):
    """What is known about the skin of the faces, as the fit asks for it (``tracker.appearance.AppearanceStage``)."""

    def landmark_occlusion(self, face_id: int, set_name: str) -> Float32 | None:
        """Probability (N,) that each landmark was covered in the last frame."""
        ...

    def needs_look(self, face_id: int, t_capture_ns: int) -> bool:
        """Whether a frame should be asked, by what was seen of the face so far."""
        ...

    def doubt(self, face_id: int, doubt: float) -> None:
        """How far the pose of this frame is in doubt, 0..1."""
        ...

    def covered_fraction(self, face_id: int) -> float:
        """Share of the visible skin that was covered in the last frame."""
        ...

    def view(
        self, image: ImageRGB, face_id: int, params: FaceParams, identity: Float32, camera: Camera
    ) -> SkinView | None:
        """What the picture shows at the skin in a pose that is tried."""
        ...


@dataclass(slots=True)
class _Person:
    fitter: FaceFitter
    smoother: FaceSmoother
    stillness: PictureStillness
    seen_ns: int
    seen_call: int
    identity_version: int = 0


class FitStage:
    """Fits and smooths every observed face, keeping one fitter per face id."""

    def __init__(
        self,
        model: FaceModel,
        set_name: str,
        fit: FitConfig | None = None,
        smoothing: SmoothingConfig | None = None,
        enrolment: Enrolment | None = None,
        skin: KnownSkin | None = None,
    ) -> None:
        """Fit with a face model that ``enrolment``, when given, was made with: the first face is taken to be that person.

        ``skin`` lets the picture have a say in the fit, in frames that are processed with one.
        """
        self._model = model
        self._set_name = set_name
        self._fit_config = fit
        self._smoothing_config = smoothing
        self._skin = skin
        self._people: dict[int, _Person] = {}
        self._arkit = np.array(
            [model.expression_names.index(name) if name in model.expression_names else -1 for name in ARKIT_NAMES]
        )
        # Where ARKit weights do not come from the model's own, they are smoothed beside them.
        self._smoothed_names = model.expression_names + (ARKIT_NAMES if has_own_expressions(model) else ())
        self._recenter = Recenter()
        self._recenter_requested = False
        self.neutral = NeutralReference()
        self._enrolment = enrolment
        self._notices: list[Notice] = []
        self._calls = 0

    def request_recenter(self) -> None:
        """Declare the pose of the first face in the next frame with one to be neutral. May be called from any thread."""
        self._recenter_requested = True

    def person_of(self, face_id: int) -> int:
        """How many persons have had this id so far; what is known about a face by other stages goes when this grows."""
        person = self._people.get(face_id)
        return 0 if person is None else person.fitter.people

    def is_enrolled(self, face_id: int) -> bool:
        """Whether a face is taken to be the enrolled person's."""
        person = self._people.get(face_id)
        return person is not None and person.fitter.enrolment is not None

    def process(
        self,
        observations: list[FaceObservation],
        camera: Camera,
        t_capture_ns: int,
        image: ImageRGB | None = None,
        *,
        cut: bool = False,
    ) -> tuple[Face, ...]:
        """Faces of one frame, in the order of the observations. ``cut``: the frame begins another shot.

        A face whose observation or fit holds no usable numbers is left out, as if it had not been seen, and starts cold
        when it returns.
        """
        self._calls += 1
        if cut:
            self._cut()
        found = (self._face(seen, camera, t_capture_ns, image) for seen in observations)
        faces = tuple(face for face in found if face is not None)
        self._people = {
            face_id: person
            for face_id, person in self._people.items()
            if abs(t_capture_ns - person.seen_ns) < _FORGET_AFTER_NS
        }
        faces, notices = self.neutral.process(faces, t_capture_ns, set(self._people))
        self._notices += notices
        return faces

    def take_notices(self) -> tuple[Notice, ...]:
        """What happened since the last call."""
        notices, self._notices = tuple(self._notices), []
        return notices

    def _cut(self) -> None:
        """Another shot may show another person."""
        for face_id, person in self._people.items():
            person.fitter.cut()
            if person.fitter.enrolment is None and self.neutral.drop(face_id):
                self._notices.append(Notice("calibration_off", {"id": face_id, "reason": "the picture was cut"}))
        if self._people:
            self._expect_enrolled(min(self._people), self._people[min(self._people)].fitter)

    def _expect_enrolled(self, face_id: int, fitter: FaceFitter) -> None:
        """Take a face of unknown identity to be the enrolled person's, unless that is somebody else already."""
        enrolment = self._enrolment
        if enrolment is None or any(person.fitter.enrolment is not None for person in self._people.values()):
            return
        fitter.adopt(enrolment)
        if enrolment.neutral is not None and self.neutral.status.state == "none":
            self.neutral.adopt(NeutralCalibration(enrolment.neutral), face_id)

    def _forgotten(self, face_id: int, *, enrolled: bool) -> None:
        """A face has turned out to be another person's than was thought."""
        text = (
            "the face does not fit the enrolled person; learning it anew"
            if enrolled
            else "another person: learning anew"
        )
        self._notices.append(Notice("other_person", {"id": face_id, "enrolled": enrolled, "text": text}))
        if self.neutral.drop(face_id):
            self._notices.append(Notice("calibration_off", {"id": face_id, "reason": "another person"}))

    def _face(self, seen: FaceObservation, camera: Camera, t_capture_ns: int, image: ImageRGB | None) -> Face | None:
        if not _is_usable(seen):
            return None
        person = self._people.get(seen.face_id)
        if person is None:
            person = _Person(
                FaceFitter(self._model, self._set_name, self._fit_config),
                FaceSmoother(self._smoothed_names, self._smoothing_config),
                PictureStillness(),
                t_capture_ns,
                self._calls,
            )
            self._expect_enrolled(seen.face_id, person.fitter)
            self._people[seen.face_id] = person
        elif self._calls > person.seen_call + 1:
            # The face was away meanwhile, and where it was is no start any more. Frames that a live source dropped are no
            # such gap: the filters go by time.
            person.fitter.restart()
        person.seen_ns, person.seen_call = t_capture_ns, self._calls
        enrolled, reopened = person.fitter.enrolment is not None, person.fitter.reopened
        still = self._skin is not None and image is not None and person.stillness(image, seen.box)
        try:
            fitted, covering = self._fitted(person.fitter, seen, camera, t_capture_ns, image, still=still)
        except np.linalg.LinAlgError:
            fitted, covering = None, None
        if person.fitter.reopened > reopened:
            self._forgotten(seen.face_id, enrolled=enrolled)
        if fitted is None or not _is_in_front(fitted.state):
            # What such a fit taught about the person is as wrong as its pose.
            del self._people[seen.face_id]
            return None
        if fitted.cold:
            person.smoother.reset()
        arkit = np.zeros(0, np.float32) if fitted.arkit is None else fitted.arkit
        state = replace(fitted.state, expression=np.concatenate([fitted.state.expression, arkit]))
        # Learning the person's shape moves the pose of a face that does not.
        learned, person.identity_version = person.identity_version != fitted.identity_version, fitted.identity_version
        smooth = person.smoother(state, t_capture_ns, still=still and not learned)
        count = self._model.expression_count
        arkit = self._arkit_weights(smooth.expression) if fitted.arkit is None else smooth.expression[count:]
        if covering is not None:
            assert self._skin is not None
            self._skin.doubt(seen.face_id, fitted.doubt)
            sigma = widened(seen.landmarks.sigma, covering.landmarks, fitted.doubt)
            seen = replace(seen, landmarks=replace(seen.landmarks, sigma=sigma))
        return self._assemble(seen, fitted, replace(smooth, expression=smooth.expression[:count]), arkit)

    def _fitted(
        self,
        fitter: FaceFitter,
        seen: FaceObservation,
        camera: Camera,
        t_capture_ns: int,
        image: ImageRGB | None,
        *,
        still: bool,
    ) -> tuple[FittedFace, Covering | None]:
        skin = self._skin
        if skin is None or image is None:
            return fitter.fit(seen, camera), None
        hidden = skin.landmark_occlusion(seen.face_id, seen.landmarks.set_name)
        if hidden is None:
            return fitter.fit(seen, camera), None
        covering = Covering(hidden, skin.covered_fraction(seen.face_id))
        if fitter.is_calm and not skin.needs_look(seen.face_id, t_capture_ns):
            return fitter.fit(seen, camera, covering, still=still), covering

        def look(state: FitState) -> SkinView | None:
            return skin.view(image, seen.face_id, self._params(state), fitter.shape, camera)

        return fitter.fit(seen, camera, covering, look, still=still), covering

    def _assemble(self, seen: FaceObservation, fitted: FittedFace, smooth: FitState, arkit: Float32) -> Face:
        params = self._params(smooth)
        if self._recenter_requested:
            self._recenter.set_reference(smooth.translation, smooth.rotation)
            self._recenter_requested = False
            self._notices.append(Notice("recentered", {"id": seen.face_id}))
        position, rotation = self._recenter(smooth.translation, smooth.rotation)
        width = max(float(seen.box[2]), 1.0)
        misfit = fitted.residual_px / width / 0.05
        return Face(
            id=seen.face_id,
            tracked=True,
            confidence=seen.presence / (1.0 + misfit * misfit),
            age=seen.age,
            box=seen.box,
            params=params,
            raw=self._params(fitted.state),
            identity=fitted.identity,
            identity_version=fitted.identity_version,
            identity_state=fitted.identity_state,
            position=position.astype(np.float32),
            quaternion=quaternion_from_matrix(rotation).astype(np.float32),
            arkit=arkit,
            arkit_raw=self._arkit_weights(fitted.state.expression) if fitted.arkit is None else fitted.arkit,
            gaze_left=_gaze(params.eyes[:3]),
            gaze_right=_gaze(params.eyes[3:]),
            landmarks=seen.landmarks,
            residual_px=fitted.residual_px,
        )

    def _params(self, state: FitState) -> FaceParams:
        return self._model.params_of(state.expression, head_rotvec_from_matrix(state.rotation), state.translation)

    def _arkit_weights(self, expression: Float32) -> Float32:
        weights = np.zeros(len(ARKIT_NAMES), np.float32)
        known = self._arkit >= 0
        weights[known] = np.clip(expression[self._arkit[known]], 0.0, 1.0)
        return weights


def _is_usable(seen: FaceObservation) -> bool:
    landmarks = seen.landmarks
    numbers = (landmarks.points, landmarks.sigma, seen.box, seen.arkit_hint)
    return (
        all(part is None or bool(np.isfinite(part).all()) for part in numbers)
        and math.isfinite(seen.presence)
        and bool((landmarks.sigma > 0.0).all())
    )


def _is_in_front(state: FitState) -> bool:
    finite = all(bool(np.isfinite(part).all()) for part in (state.rotation, state.translation, state.expression))
    return finite and float(state.translation[2]) > 0.0


def _gaze(rotvec: Float32) -> Float32:
    """Yaw (+ to the subject's left) and pitch (+ up) of an eye whose joint is turned by ``rotvec``."""
    forward = matrix_from_rotvec(rotvec)[:, 2]
    return np.array([math.atan2(forward[0], forward[2]), math.asin(max(-1.0, min(1.0, forward[1])))], np.float32)
