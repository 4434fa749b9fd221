"""Following one face with the parametric model: cold start, warm frames, identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.enrolment.file import Enrolment
from tracker.face_model import FaceModel
from tracker.fitting.covering import Covering, HeldExpression, gated, lowered
from tracker.fitting.expression_prior import ExpressionPrior, gaze_coupling, shown_by_landmarks
from tracker.fitting.identity import IdentityBelief, IdentityConfig, PersonWatch, shape_metric
from tracker.fitting.identity_modes import IdentityModes
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.lids import Lids
from tracker.fitting.mapped_prior import MappedPrior, has_own_expressions
from tracker.fitting.person_check import PROBE_PERIOD, PersonCheck
from tracker.fitting.picture import Look, PictureConfig, PictureFit
from tracker.fitting.pose_start import start_pose
from tracker.fitting.residuals import FitState, Target
from tracker.fitting.rest import RestingFace
from tracker.fitting.solver import Solution, Solver
from tracker.types import FaceObservation, IdentityState

Float32 = NDArray[np.float32]

# Points of less trust than this slide over the face and say nothing about how well it fits.
_TRUSTED_WEIGHT = 0.3
# Share of the face's width: a median residual above it is no frame to learn the resting face from.
_FITS_WELL = 0.05
_ACQUAINTED_FRAMES = 60
# Share of the skin that looks covered from which something is in front of the face.
_CERTAINLY_COVERED = 0.12


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a face is fitted."""

    correlated_landmarks: float = 1.2
    """How many landmarks err together: the factor by which the landmark term is scaled down."""
    warm_iterations: int = 2
    keyframe_iterations: int = 2
    cold_rigid_iterations: int = 8
    cold_iterations: int = 20
    restart_residual: float = 0.12
    """A warm frame whose median residual exceeds this share of the face width is started cold again."""
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    picture: PictureConfig = field(default_factory=PictureConfig)


@dataclass(frozen=True, slots=True)
class FittedFace:
    """The fit of one frame, before smoothing."""

    state: FitState
    identity: Float32
    identity_version: int
    identity_state: IdentityState
    residual_px: float
    """Median distance between observed and fitted landmarks."""
    iterations: int
    cold: bool
    arkit: Float32 | None = None
    """(52,) ARKit weights where the model's expressions are not ARKit's own."""
    doubt: float = 0.0
    """0 the picture confirms the landmarks .. 1 they are believed to be dragged off the face."""


class FaceFitter:
    """The fit of one person over the frames of a stream."""

    def __init__(self, model: FaceModel, set_name: str, config: FitConfig | None = None) -> None:
        self._config = config or FitConfig()
        self.modes = IdentityModes(model, set_name)
        self._points = LandmarkModel(model, set_name, shown_by_landmarks(model.expression_names), self.modes)
        self._trusted = np.flatnonzero(self._points.weight > _TRUSTED_WEIGHT)
        self.solver = Solver(self._points, model.expression_bounds)
        self._prior = ExpressionPrior(model.expression_names)
        self._coupling = gaze_coupling(model.joint_drive)
        # A diagonal prior is all that ARKit's expressions need; those of other models go together.
        self._mapped = MappedPrior(model) if has_own_expressions(model) else None
        self._loose = np.full(model.expression_count, np.inf, np.float32)
        identity = self._config.identity.for_points_off_by(model.embedding(set_name).uncertainty_m)
        if self._mapped is not None:
            identity = replace(identity, novel_expression=identity.novel_expression * self._mapped.l1_per_arkit_weight)
        self._lids = Lids(set_name)
        self._rest = RestingFace(self._points, set_name, model.expression_names)
        metric = shape_metric(self._points.neutral_points(), self._points.identity_basis)
        self.identity = IdentityBelief(metric, identity, self.modes)
        self._watch = PersonWatch()
        self.people = 1
        """How many persons this has followed; it grows when the one before is forgotten."""
        self._picture = PictureFit(model.expression_bounds, self._config.picture)
        rest = np.zeros(model.expression_count, np.float32)
        self._held = HeldExpression(np.abs(self._points.expression_jacobian(rest)).sum(axis=0))
        self._doubt = 0.0
        self._shape: tuple[Float32, Float32] | None = None
        self._state: FitState | None = None
        self._camera: Camera | None = None
        self._age = 0
        self._check: PersonCheck | None = None
        self.reopened = 0
        """How often the face turned out to be somebody else's."""
        self.enrolment: Enrolment | None = None
        """Whose identity this is taken to be; None once it has turned out to be somebody else."""

    def fit(
        self,
        observation: FaceObservation,
        camera: Camera,
        covering: Covering | None = None,
        look: Look | None = None,
        *,
        still: bool = False,
    ) -> FittedFace:
        """Fit one frame. Cold on the first one, when the frame size changes and when the warm fit fails; warm otherwise.

        ``covering`` is what was in front of the face in the last frame, ``look`` shows the picture at a state; without them
        landmarks alone decide. ``still`` says that the picture shows the face unmoved, so that there is nothing new to learn.
        """
        if observation.arkit_hint is not None:
            heard = self._lids(observation.landmarks, observation.arkit_hint, learn=self._doubt == 0.0)
            observation = replace(observation, arkit_hint=heard)
            if self._doubt == 0.0:
                self._rest.hear(heard)
        target = self.target(observation, covering)
        before = self._state if camera == self._camera else None
        width = max(float(observation.box[2]), 1.0)
        cold = self._state is None or camera != self._camera
        if not cold:
            solution = self._warm(camera, target, still=still, told=observation.landmarks.visibility is not None)
            residual_px = self._residual(observation, solution)
            cold = residual_px > self._config.restart_residual * width
            # Behind a hand anybody fits badly.
            if (
                not cold
                and self._doubt == 0.0
                and (
                    self._is_other_person(solution, residual_px / width) or self._fails_check(camera, target, solution)
                )
            ):
                self.forget()
                self.reopened += 1
                cold = True
        if cold:
            solution = self._cold(observation, camera, target)
            residual_px = self._residual(observation, solution)
        state = solution.state
        if cold:
            self._picture.reset()
            self._held.reset()
        if cold or look is None:
            self._doubt = 0.0
            if covering is not None:
                self._held.follow(state.expression)
        else:
            state = self._refined(solution, observation.landmarks.visibility, covering, look, before, camera, width)
        self._state, self._camera = state, camera
        self._age += 1
        if observation.arkit_hint is not None and self._doubt == 0.0 and residual_px < _FITS_WELL * width:
            self._rest.see(
                observation.arkit_hint,
                solution.state,
                target.expression_mean,
                target.points,
                solution.projected,
                camera,
            )
        return FittedFace(
            state=state,
            identity=self.shape,
            identity_version=self.identity.version,
            identity_state=self.identity.state,
            residual_px=residual_px,
            iterations=solution.iterations,
            cold=cold,
            arkit=None
            if self._mapped is None
            else self._mapped.arkit(state.expression, observation.arkit_hint, self._rest.levels),
            doubt=self._doubt,
        )

    @property
    def is_calm(self) -> bool:
        """Whether the picture confirmed the landmarks when it was last asked, so that it need not be asked in every frame."""
        return self._doubt == 0.0 and self._picture.is_calm

    @property
    def shape(self) -> Float32:
        """The identity (Ni,) that faces are fitted with."""
        if self._shape is None or self._shape[0] is not self._points.identity:
            modes = self._points.identity
            self._shape = (modes, self.modes.coefficients(modes).astype(np.float32))
        return self._shape[1]

    def adopt(self, enrolment: Enrolment) -> None:
        """Take the face to be the enrolled person's from now on, until it fits badly."""
        self.identity.adopt_enrolment(enrolment)
        self._watch.reset(enrolment.misfit)
        self._points.set_identity(self.identity.mean.astype(np.float32))
        self.enrolment = enrolment
        self.restart()

    def restart(self) -> None:
        """Start the next frame cold, after a gap. What is known about the person stays, and is checked against what comes."""
        self._state = None
        self._begin_check()

    def cut(self) -> None:
        """The next frame is of another shot: start cold, and with nobody in particular unless somebody was enrolled."""
        if self.enrolment is None:
            self.forget()
        else:
            self.restart()

    def forget(self) -> None:
        """Start cold with nothing known about the person."""
        self._state = None
        self._age = 0
        self.people += 1
        self.identity.reset()
        self._watch.reset()
        self._check = None
        self.enrolment = None
        self._lids.reset()
        self._rest.reset()
        self._points.set_identity(np.zeros(self._points.identity_count, np.float32))

    def _refined(
        self,
        solution: Solution,
        visibility: Float32 | None,
        covering: Covering | None,
        look: Look,
        before: FitState | None,
        camera: Camera,
        width_px: float,
    ) -> FitState:
        fraction, told = 0.0 if covering is None else covering.fraction, visibility is not None
        refined = self._picture.refine(solution, look, fraction, before, camera.focal_px, width_px, told=told)
        self._doubt = refined.doubt
        if visibility is not None:
            # The encoder saw point by point, and in this frame, what skin and doubt tell of the last one.
            unseen: Float32 = np.float32(1.0) - visibility[self._points.order]
            return replace(refined.state, expression=self._held(refined.state.expression, unseen, 0.0))
        covered = None if covering is None else gated(covering.landmarks[self._points.order], refined.doubt)
        # A lively face that nothing is in front of may be in doubt as well: its expression is its own.
        hidden = refined.doubt * min(1.0, fraction / _CERTAINLY_COVERED)
        return replace(refined.state, expression=self._held(refined.state.expression, covered, hidden))

    def target(self, observation: FaceObservation, covering: Covering | None = None) -> Target:
        """What the fit of this observation is pulled to, with what was in front of the face in the last frame."""
        landmarks = observation.landmarks
        order = self._points.order
        precision = self._points.weight / (self._config.correlated_landmarks * landmarks.sigma[order] ** 2)
        if landmarks.visibility is not None:
            precision = lowered(precision, 1.0 - landmarks.visibility[order])
        elif covering is not None and self._doubt > 0.0:
            precision = lowered(precision, gated(covering.landmarks[order], self._doubt))
        if self._mapped is None:
            mean, sigma = self._prior.given(observation.arkit_hint, self._rest.levels)
            coupling = self._coupling
        else:
            mean, information = self._mapped.given(observation.arkit_hint, self._rest.levels)
            sigma, coupling = self._loose, information + self._coupling
        return Target(
            np.ascontiguousarray(landmarks.points[order, :2]), precision.astype(np.float32), mean, sigma, coupling
        )

    def _cold(self, observation: FaceObservation, camera: Camera, target: Target) -> Solution:
        points = observation.landmarks.points[self._points.order]
        rotation, translation = start_pose(camera, points, self._points.neutral_points(), target.precision)
        start = FitState(rotation, translation, np.zeros(self._points.expression_count, np.float32))
        rigid = self.solver.solve(
            camera, target, start, iterations=self._config.cold_rigid_iterations, expression=False
        )
        if self.identity.frozen:
            return self._solve_relaxed(camera, target, rigid.state, self._config.cold_iterations)
        return self._solve_identity(camera, target, rigid.state, self._config.cold_iterations)

    def _warm(self, camera: Camera, target: Target, *, still: bool, told: bool) -> Solution:
        assert self._state is not None
        solution = self._solve_relaxed(camera, target, self._state, self._config.warm_iterations, relinearise=False)
        if self._doubt > 0.0 and not told:
            # A face that something is in front of, or was a frame ago, teaches nothing about the person, unless its landmarks
            # are weighed by whether they are in sight.
            return solution
        if still and self._age >= _ACQUAINTED_FRAMES:
            # What looks novel about it is noise.
            return solution
        if self.identity.wants(solution.state.rotation, solution.state.expression, self._age):
            return self._solve_identity(camera, target, solution.state, self._config.keyframe_iterations)
        return solution

    def _solve_identity(self, camera: Camera, target: Target, start: FitState, iterations: int) -> Solution:
        before = self._points.neutral_points()
        solution = self.solver.solve(camera, target, start, iterations=iterations, identity_prior=self.identity.prior())
        self.identity.learn(solution)
        self._points.set_identity(self.identity.mean.astype(np.float32))
        moved = self._points.neutral_points() - before
        self.identity.settle(float(np.sqrt((moved**2).sum(axis=1).mean())))
        self._rest.follow(moved)
        return self._solve_relaxed(camera, target, solution.state, self._config.warm_iterations)

    def _solve_relaxed(
        self, camera: Camera, target: Target, start: FitState, iterations: int, *, relinearise: bool = True
    ) -> Solution:
        """Pose and expression from landmarks without what is this person's own about them."""
        own = replace(target, points=target.points - self._rest.shift_px(start, camera))
        return self.solver.solve(camera, own, start, iterations=iterations, relinearise=relinearise)

    def _begin_check(self) -> None:
        identity = self.identity
        self._check = PersonCheck(identity.evidence, identity.mean, identity.prior_weight) if identity.frozen else None

    def _fails_check(self, camera: Camera, target: Target, solution: Solution) -> bool:
        if self._check is None or self._age % PROBE_PERIOD:
            return False
        same = self._check.add(
            *self.solver.marginal(camera, target, solution.state, self._points.identity.astype(np.float64))
        )
        if same is not None:
            self._check = None
        return same is False

    def _is_other_person(self, solution: Solution, misfit: float) -> bool:
        if not self.identity.frozen:
            return False
        return self._watch.is_other_person(misfit, known_view=self.identity.knows_view(solution.state.rotation))

    def _residual(self, observation: FaceObservation, solution: Solution) -> float:
        offset = observation.landmarks.points[self._points.order, :2] - solution.projected
        return float(np.median(np.hypot(offset[self._trusted, 0], offset[self._trusted, 1])))
