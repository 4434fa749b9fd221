"""Frames of one person in, an enrolment out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.enrolment.bundle import Bundle, View, solve_bundle
from tracker.enrolment.file import Enrolment
from tracker.enrolment.focal import RATIOS, FocalEstimate, estimate_focal
from tracker.enrolment.views import choose_views
from tracker.errors import EnrolmentError
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FaceFitter, FitConfig
from tracker.rotations import head_euler
from tracker.types import FaceObservation, IdentityState

Float64 = NDArray[np.float64]

LEAST_FRAMES: Final = 30
INFORMATION_CAP: Final = 24.0
"""As ``IdentityConfig.information_cap``; chosen views differ more than live keyframes do, and share less of their errors."""
_MOST_FRAMES: Final = 600
_FOCAL_VIEWS: Final = 24
_FOCAL_ROUNDS: Final = 6
_LEAST_PRESENCE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far ``Enroller.solve`` is."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class _Seen:
    view: View
    misfit: float
    presence: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was enrolled, and how well."""

    enrolment: Enrolment
    state: IdentityState
    frames: int
    views: int
    rounds: int
    converged: bool
    yaw_deg: tuple[float, float]
    """Lowest and highest of the views; + to the subject's left."""
    pitch_deg: tuple[float, float]
    """+ up."""
    strongest: dict[str, float]
    """Largest weight of some telling expressions."""
    focal: FocalEstimate | None
    """None when the focal length was given."""

    def advice(self) -> list[str]:
        """What another clip could add, most useful first."""
        lines = []
        for far, enough, words in (
            (self.yaw_deg[1], 20.0, "turn your head further to your left"),
            (-self.yaw_deg[0], 20.0, "turn your head further to your right"),
            (self.pitch_deg[1], 8.0, "raise your chin a little"),
            (-self.pitch_deg[0], 8.0, "lower your chin a little"),
        ):
            if far < enough:
                lines.append(f"{words} (seen: {max(far, 0.0):.0f}°, {enough:.0f}° would do)")
        for name, words in (
            ("jawOpen", "open your mouth"),
            ("mouthSmile", "smile"),
            ("eyeBlink", "close your eyes once"),
        ):
            if self.strongest[name] < 0.3:
                lines.append(words)
        return lines


class Enroller:
    """Collects the frames of one person; ``solve`` turns them into an enrolment."""

    def __init__(self, model: FaceModel, set_name: str, config: FitConfig | None = None) -> None:
        self._model = model
        self._config = config or FitConfig()
        self._set_name = set_name
        self._fitter = FaceFitter(model, set_name, self._config)
        self._seen: list[_Seen] = []
        self._stride = 1
        self.frame_count = 0
        """Frames with the face."""

    def add(self, observation: FaceObservation, camera: Camera, *, cut: bool = False) -> None:
        """Take in the face of the next frame; ``cut`` says that the frame begins another shot.

        Raises:
            EnrolmentError: it is somebody else's.
        """
        known = self._fitter.identity.keyframe_count
        if cut and known:
            raise EnrolmentError(
                f"the clip is cut after {self.frame_count} frames with a face, and a cut may bring another person: enrol from "
                "one uncut shot"
            )
        fitted = self._fitter.fit(observation, camera)
        if self._fitter.identity.keyframe_count < known:
            raise EnrolmentError(
                f"after {self.frame_count} frames the face became another person's: enrol from a clip of one person"
            )
        self.frame_count += 1
        if self.frame_count % self._stride:
            return
        view = View(camera, self._fitter.target(observation), fitted.state)
        misfit = fitted.residual_px / max(float(observation.box[2]), 1.0)
        self._seen.append(_Seen(view, misfit, observation.presence))
        if len(self._seen) > _MOST_FRAMES:
            # Long clips are thinned as they come, so that memory does not grow with them.
            del self._seen[::2]
            self._stride *= 2

    def solve(
        self,
        *,
        views: int = 40,
        focal_known: bool = False,
        about: dict[str, Any] | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Report:
        """Choose views, find the focal length unless ``focal_known``, and solve for the identity.

        Raises:
            EnrolmentError: there are too few frames with a face.
        """
        if self.frame_count < LEAST_FRAMES:
            raise EnrolmentError(
                f"found a face in {self.frame_count} frames; enrolling takes at least {LEAST_FRAMES}, better ten seconds of "
                "turning your head and moving your face"
            )
        rotations = np.stack([seen.view.state.rotation for seen in self._seen])
        expressions = np.stack([seen.view.state.expression for seen in self._seen])
        misfits = np.array([seen.misfit for seen in self._seen])
        presence = np.array([seen.presence for seen in self._seen])
        usable = (misfits < 1.7 * np.median(misfits)) & (presence > _LEAST_PRESENCE)
        chosen = [self._seen[index].view for index in choose_views(rotations, expressions, usable, views)]
        if len(chosen) < 2:
            raise EnrolmentError("the face is too unclear in this clip: more light, nearer, nothing in front of it")
        solver, prior_weight = self._fitter.solver, self._fitter.identity.prior_weight
        total = 1 + (0 if focal_known else len(RATIOS))
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            on_progress(Progress(done, total))

        def bundle(some: list[View], rounds: int) -> Bundle:
            return solve_bundle(solver, some, prior_weight=prior_weight, information_cap=INFORMATION_CAP, rounds=rounds)

        def cost_at(ratio: float) -> float:
            cost = bundle([_with_focal(view, ratio) for view in chosen[:_FOCAL_VIEWS]], _FOCAL_ROUNDS).cost
            step()
            return cost / prior_weight

        focal = None if focal_known else estimate_focal(cost_at)
        ratio = focal.ratio if focal is not None and focal.observed else 1.0
        solved = bundle([_with_focal(view, ratio) for view in chosen], 20)
        step()
        belief = self._fitter.identity
        belief.adopt(solved.identity, solved.evidence, np.stack([view.state.rotation for view in solved.views]))
        camera = solved.views[0].camera
        enrolment = Enrolment(
            model_name=self._model.name,
            model_sha256=self._model.sha256,
            identity=self._fitter.modes.coefficients(solved.identity).astype(np.float32),
            covariance=self._fitter.modes.covariance(belief.covariance),
            rotations=np.stack([view.state.rotation for view in solved.views]),
            misfit=float(np.median(misfits)),
            focal_per_width=camera.focal_px / camera.width if focal_known or (focal and focal.observed) else None,
            about={
                **(about or {}),
                "frames": self.frame_count,
                "views": len(chosen),
                "focal": None
                if focal is None
                else {"ratio": focal.ratio, "sigma": focal.sigma, "observed": focal.observed},
            },
        )
        angles = np.degrees([head_euler(view.state.rotation)[:2] for view in solved.views])
        return Report(
            enrolment=enrolment,
            state=belief.state,
            frames=self.frame_count,
            views=len(chosen),
            rounds=solved.rounds,
            converged=solved.converged,
            yaw_deg=(float(angles[:, 0].min()), float(angles[:, 0].max())),
            pitch_deg=(float(angles[:, 1].min()), float(angles[:, 1].max())),
            strongest=self._strongest(expressions),
            focal=focal,
        )

    def _strongest(self, expressions: NDArray[np.floating]) -> dict[str, float]:
        names = self._model.expression_names
        found = {}
        for name in ("jawOpen", "mouthSmile", "eyeBlink"):
            columns = [names.index(side) for side in (name, f"{name}Left", f"{name}Right") if side in names]
            # A model without that expression cannot ask for it.
            found[name] = float(expressions[:, columns].max()) if columns else math.inf
        return found


def _with_focal(view: View, ratio: float) -> View:
    """The view with ``ratio`` times the focal length, the face as much further away."""
    camera = replace(view.camera, focal_px=view.camera.focal_px * ratio)
    state = replace(view.state, translation=view.state.translation * np.array([1.0, 1.0, ratio]))
    return View(camera, view.target, state)
