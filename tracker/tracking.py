"""The tracking of one frame, in two stages that may run in different threads: encode (detect, landmarks) and fit.

The encode stage never waits for the fit's verdict, so a pipelined run and a sequential one give the same result.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

from threadpoolctl import threadpool_limits

from tracker.appearance import AppearanceStage, Explained, LearnedSkin, SkinPoints
from tracker.camera import Camera
from tracker.config import TrackerConfig
from tracker.detection import FaceDetector, FaceFollower
from tracker.detection.cuts import CutDetector
from tracker.enrolment.file import Enrolment, read_enrolment
from tracker.face_model import FaceModel, load_face_model
from tracker.face_model.head_points import with_landmarks
from tracker.face_model.retarget import Retarget
from tracker.fitting.fitter import FitConfig
from tracker.fitting.neutral import CalibrationStatus
from tracker.fitting.picture import PictureConfig
from tracker.fitting.sight import LandmarkSight
from tracker.fitting.stage import FitStage
from tracker.landmarks import create_encoder
from tracker.smoothing import SmoothingConfig
from tracker.types import Face, FaceObservation, Float32, Frame, FrameResult


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame and what the encoder saw in it."""

    frame: Frame
    observations: list[FaceObservation]
    stage_ms: dict[str, float]
    cut: bool = False
    """Whether the frame begins another shot."""


class FrameTracker:
    """Tracks frames one after the other. ``encode`` and ``fit`` each belong to one thread and want frames in order."""

    def __init__(self, config: TrackerConfig | None = None, model: FaceModel | None = None) -> None:
        """Load networks and face model; ``model`` saves loading the configured one again.

        Limits the BLAS of this process to one thread: the fit's matrices are so small that a second thread only gets in the way
        (measured: up to 280 ms instead of 1.2 for an iteration when two BLAS libraries spin side by side).

        Raises:
            NetworkAssetError: a network is missing (``tracker models fetch`` brings it).
            FaceModelError: the face model cannot be read.
        """
        threadpool_limits(limits=1, user_api="blas")
        self.config = config or TrackerConfig()
        self._fitted: FaceModel = model or load_face_model(self.config.face_model)
        flame = self.config.flame
        self._retarget = None if flame is None else Retarget(self._fitted, load_face_model(flame))
        self.enrolment: Enrolment | None = None
        if self.config.identity is not None:
            self.enrolment = read_enrolment(Path(self.config.identity))
            self.enrolment.check_model(self._fitted.name, self._fitted.sha256, self.config.identity)
        self._configured = self.enrolment
        threads, precision, engine = self.config.threads, self.config.precision, self.config.engine
        # Compiling networks takes most of the start-up and runs outside the interpreter lock.
        with ThreadPoolExecutor(1) as pool:
            detector = pool.submit(FaceDetector, threads, precision, engine)
            encoder = create_encoder(self.config.encoder, threads, precision, engine)
            self._follower = FaceFollower(encoder, detector.result(), self.config.max_faces)
        self._set_name = encoder.set_name
        self._fitted = with_landmarks(self._fitted, self._set_name)
        self._cuts = CutDetector()
        self._appearance = AppearanceStage(self._fitted) if self.config.appearance else None
        self._fit = self._fit_stage()
        self._sight = LandmarkSight(self._fitted, self._set_name)
        self._people: dict[int, int] = {}
        self._skin = self._enrolled_skin()
        self._skin_fixed = False
        self._dressed: set[int] = set()

    @property
    def model(self) -> FaceModel:
        """The face model whose parameters results hold."""
        return self._fitted if self._retarget is None else self._retarget.target

    @property
    def skin_points(self) -> SkinPoints | None:
        """Where albedo is estimated; None when appearance is off."""
        return None if self._appearance is None else self._appearance.points

    def skin_of(self, face_id: int) -> LearnedSkin | None:
        """What is known about the skin of a face; None when that is nothing yet, or appearance is off."""
        return None if self._appearance is None else self._appearance.learned(face_id)

    def explained(self, face_id: int) -> Explained | None:
        """The last frame of a face as skin and light explain it; None where that could not be told, or appearance is off."""
        return None if self._appearance is None else self._appearance.explained(face_id)

    def expect(self, enrolment: Enrolment | None) -> None:
        """Forget all faces and take the first one to be this person from its first frame on; its skin is not learned any more.

        None: go back to whom the configuration names.

        Raises:
            EnrolmentError: the enrolment was made with another face model.
        """
        if enrolment is not None:
            enrolment.check_model(self._fitted.name, self._fitted.sha256)
        self.enrolment = self._configured if enrolment is None else enrolment
        self._skin, self._skin_fixed = self._enrolled_skin(), enrolment is not None
        self.reset()

    def encode(self, frame: Frame) -> EncodedFrame:
        """Find and encode the faces of a frame."""
        cut = self._cuts.is_cut(frame.image)
        observations = self._follower.process(frame)
        return EncodedFrame(frame, observations, dict(self._follower.last_timing), cut)

    def fit(self, encoded: EncodedFrame) -> FrameResult:
        """Fit and smooth the faces of an encoded frame, and estimate their appearance when configured."""
        start = perf_counter_ns()
        frame = encoded.frame
        camera = Camera.for_image(frame.width, frame.height, self._focal_for(frame.width))
        if encoded.cut and self._appearance is not None:
            self._appearance.cut()
        faces = self._fit.process(encoded.observations, camera, frame.t_capture_ns, frame.image, cut=encoded.cut)
        fit_ms = (perf_counter_ns() - start) * 1e-6
        stage_ms = {**encoded.stage_ms, "fit": fit_ms}
        if self._appearance is not None:
            start = perf_counter_ns()
            self._settle_skin(faces)
            faces = self._appearance.process(frame.image, faces, camera, frame.t_capture_ns)
            stage_ms["appearance"] = (perf_counter_ns() - start) * 1e-6
        faces = tuple(self._sight(face, camera, self._covered_landmarks(face.id)) for face in faces)
        if self._retarget is not None:
            faces = tuple(self._retarget(face) for face in faces)
        return FrameResult(
            index=frame.index,
            t_capture_ns=frame.t_capture_ns,
            clock=frame.clock,
            t_unix_ns=frame.t_unix_ns,
            camera=camera,
            faces=faces,
            pts_s=frame.pts_s,
            rate=frame.rate,
            stage_ms=stage_ms,
            notices=self._fit.take_notices(),
        )

    def _covered_landmarks(self, face_id: int) -> Float32 | None:
        return None if self._appearance is None else self._appearance.landmark_occlusion(face_id, self._set_name)

    def _settle_skin(self, faces: tuple[Face, ...]) -> None:
        """Drop the skin of those whose id another person has now; give the enrolled person theirs."""
        assert self._appearance is not None
        people = {face.id: self._fit.person_of(face.id) for face in faces}
        for face_id, person in people.items():
            if self._people.get(face_id, person) != person:
                self._appearance.forget(face_id)
                self._dressed.discard(face_id)
            if self._skin is not None and face_id not in self._dressed and self._fit.is_enrolled(face_id):
                self._appearance.adopt(face_id, self._skin, fixed=self._skin_fixed)
                self._dressed.add(face_id)
        self._people = people

    def reset(self, *, keep_ids: bool = True) -> None:
        """Forget all faces: the next frame is the first of another stream.

        Without ``keep_ids`` that stream's first face is number 0 again, so that its results do not tell what came before.
        """
        self._follower.reset(keep_ids=keep_ids)
        self._cuts.reset()
        self._fit = self._fit_stage()
        if self._appearance is not None:
            self._appearance.reset()
            self._people.clear()
            self._dressed.clear()

    def process(self, frame: Frame) -> FrameResult:
        """Both stages at once."""
        return self.fit(self.encode(frame))

    def request_recenter(self) -> None:
        """Declare the pose in the next frame with a face to be neutral (see ``tracker.fitting.recenter``)."""
        self._fit.request_recenter()

    def request_calibration(self, *, gaze: bool = False) -> int:
        """Begin a neutral capture with the next frame; returns its ticket (see ``tracker.fitting.neutral``).

        Raises:
            ConfigError: one is under way.
        """
        return self._fit.neutral.request(gaze=gaze)

    def end_calibration(self) -> None:
        """Forget the neutral calibration."""
        self._fit.neutral.off()

    @property
    def calibration_status(self) -> CalibrationStatus:
        return self._fit.neutral.status

    @property
    def fitted_model(self) -> FaceModel:
        """The face model that is fitted: ``model``, unless results are given in another one's parameters."""
        return self._fitted

    @property
    def set_name(self) -> str:
        """The landmark set that the encoder delivers."""
        return self._set_name

    def _fit_stage(self) -> FitStage:
        smoothing = SmoothingConfig(enabled=self.config.smoothing)
        photometric = self.config.photometric
        skin = self._appearance if photometric != "off" else None
        fit = FitConfig(picture=PictureConfig(always=photometric == "on"))
        return FitStage(self._fitted, self._set_name, fit, smoothing, self.enrolment, skin)

    def _enrolled_skin(self) -> LearnedSkin | None:
        """The skin of the enrolled person, where it was enrolled and appearance is wanted."""
        if self._appearance is None or self.enrolment is None or self.enrolment.albedo is None:
            return None
        path = self.config.identity or "the enrolment"
        return LearnedSkin.from_array(self.enrolment.albedo, self._appearance.points.count, path)

    def _focal_for(self, width: int) -> float | None:
        """As configured, else as enrolled, else None for the default rule."""
        given = self.config.focal_for(width)
        if given is None and self.enrolment is not None and self.enrolment.focal_per_width is not None:
            return self.enrolment.focal_per_width * width
        return given
