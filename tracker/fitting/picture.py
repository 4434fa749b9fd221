"""Landmarks and picture together: the pose that both agree on, and what to believe when they do not.

Landmarks are always near the face and never exact; the picture is exact where it shows known skin and says nothing elsewhere.
While the picture at the landmarks' pose is what the skin predicts, one step of both together steadies the pose. When it is not,
something is in front of the face or the landmarks have been dragged off: networks place all of a half-hidden face by what hides
it. Then three are weighed: where the uncovered skin went, against what it looked like while nothing was in doubt
(``skin_memory``); the landmarks' pose without the error that it had a frame ago; and the last pose. A pose that the picture does
not confirm as well as the landmarks' own, or that is far from it, is not taken: a face that moves is never held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracker.fitting.photometric import POSE, PhotometricConfig, PoseRows, explained_share, linearise
from tracker.fitting.residuals import FitState
from tracker.fitting.skin_memory import SkinMemory
from tracker.fitting.solver import Solution
from tracker.rotations import matrix_from_rotvec, rotvec_from_matrix
from tracker.types import SkinView

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

Look = Callable[[FitState], SkinView | None]


@dataclass(frozen=True, slots=True)
class PictureConfig:
    """How far the picture is believed."""

    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    remembered: PhotometricConfig = field(
        default_factory=lambda: PhotometricConfig(correlated_points=20.0, least_sigma=0.03)
    )
    """In doubt, against what is remembered: smaller errors, but hands and expressions make many points err together."""
    always: bool = False
    """Refine every pose, not only those in doubt: the raw fit gets steadier, and a little different."""
    calm_margin: float = 0.05
    """With an explained share no farther below the usual one the picture need not be asked again at once."""
    usual_rate: float = 0.05
    """Share of a frame in what is usual."""
    doubt_from: float = 0.08
    """The explained share may fall this far below the usual one without doubt ..."""
    doubt_span: float = 0.06
    """... and at this much more doubt is complete."""
    wary_share: float = 0.12
    wary_span: float = 0.08
    wary_from: float = 0.03
    """Where more than this share of the skin looked covered a frame ago, and fully at that much more, doubt begins here."""
    drift_rad: float = 0.020
    drift_m: tuple[float, float, float] = (0.0015, 0.0015, 0.008)
    """How far the network's error is expected to wander between frames while nothing comes or goes (right, down, far) ..."""
    change_gain: float = 30.0
    """... and so many times as far per change of the covered share."""
    turn_sigma_rad: float = 0.015
    shift_sigma_m: tuple[float, float, float] = (0.003, 0.003, 0.002)
    """How far a half-hidden head is expected to move between frames, at least."""
    motion_rate: float = 0.05
    """Share of a frame in how far this head usually moves."""
    motion_gain: float = 2.0
    depth_motion_gain: float = 0.3
    """Times the usual squared motion that a half-hidden head may move more than the least: most of what depth does is noise."""
    steps: int = 3
    least_explained: float = 0.30
    """Below this the picture does not know either."""
    margin: float = 0.03
    """By how much less of the skin another pose may explain and still be taken for the landmarks'."""
    told_trust: tuple[float, float, float, float, float, float] = (0.1, 0.1, 0.1, 0.1, 0.1, 1.0)
    """Share of what landmarks say about the pose (turns, right, down, far) that holds in complete doubt where their encoder
    itself sees what is covered: it is misled less than others, and of depth the picture knows hardly anything."""
    farthest: float = 0.08
    farthest_rad: float = 0.25
    """Poses farther than this share of the face's width, or turned farther, from the landmarks' are not taken."""


@dataclass(frozen=True, slots=True)
class Refined:
    """A pose with the picture's say."""

    state: FitState
    doubt: float
    """0 the landmarks are believed .. 1 they are not."""
    explained: float
    """Share of the skin that the picture at ``state`` confirms, 0..1; 0 when it was not asked."""


class PictureFit:
    """Refines the poses of one face whose expressions have ``bounds`` (Ne, 2)."""

    def __init__(self, bounds: Float32, config: PictureConfig | None = None) -> None:
        self._bounds = bounds
        self._config = config or PictureConfig()
        self._memory = SkinMemory()
        self._floor = np.square(np.array([*np.repeat(self._config.turn_sigma_rad, 3), *self._config.shift_sigma_m]))
        self._usual_motion = np.array([*np.repeat(self._config.motion_gain, 5), self._config.depth_motion_gain])
        self._drift = np.square(np.array([*np.repeat(self._config.drift_rad, 3), *self._config.drift_m]))
        self.reset()

    def reset(self) -> None:
        """Another person, or the same one after a gap."""
        self._usual: float | None = None
        self._calm = False
        self._memory.forget()
        self._bias = np.zeros(POSE)
        self._covered = 0.0
        self._motion = np.zeros(POSE)

    @property
    def is_calm(self) -> bool:
        """Whether the picture confirmed the landmarks as it usually does when it was last asked."""
        return self._calm and not self._config.always

    def refine(
        self,
        solution: Solution,
        look: Look,
        covered: float,
        previous: FitState | None,
        focal_px: float,
        width_px: float,
        *,
        told: bool = False,
    ) -> Refined:
        """The pose of a frame.

        Args:
            solution: the landmarks' own.
            look: what the picture shows at a state.
            covered: share of the skin that was covered in the last frame.
            previous: the state of the last frame.
            focal_px: focal length.
            width_px: width of the face in the picture.
            told: whether the landmarks' encoder has said which of them are out of sight.
        """
        config, state = self._config, solution.state
        view = look(state)
        explained = None if view is None else explained_share(view, config.photometric)
        self._calm = False
        if view is None or explained is None:
            return Refined(state, 0.0, 0.0)
        doubt = self._doubt(explained, covered)
        changed, self._covered = abs(covered - self._covered), covered
        if doubt > 0.0:
            trust = np.maximum(1.0 - doubt, config.told_trust if told else 0.0)
            refined = self._in_doubt(solution, view, look, doubt, trust, changed, previous, focal_px, width_px)
            self._bias = _between(refined.state, state)
            return refined
        self._bias = np.zeros(POSE)
        if config.always:
            rows = linearise(view, state.translation, focal_px, config.photometric)
            assert rows is not None
            state = self._steadied(solution, rows)
            shown = look(state)
            view = view if shown is None else shown
            explained = rows.explained
            self._bias = _between(state, solution.state)
        self._memory.learn(view)
        if previous is not None:
            step = _between(previous, state)
            squared = np.minimum(step * step, 9.0 * (self._motion + self._floor))
            self._motion += config.motion_rate * (squared - self._motion)
        return Refined(state, 0.0, explained)

    def _steadied(self, solution: Solution, rows: PoseRows) -> FitState:
        """Landmarks and picture together; expression follows."""
        pull = _pose_information(solution)
        step = np.asarray(np.linalg.solve(pull.marginal + rows.normal, rows.gradient), np.float64)
        followed = solution.state.expression + (pull.response @ step).astype(np.float32)
        expression = np.clip(followed, self._bounds[:, 0], self._bounds[:, 1])
        return replace(_stepped(solution.state, step), expression=expression)

    def _in_doubt(
        self,
        solution: Solution,
        view: SkinView,
        look: Look,
        doubt: float,
        trust: Float64,
        changed: float,
        previous: FitState | None,
        focal_px: float,
        width_px: float,
    ) -> Refined:
        """The pose that the uncovered skin shows, near the landmarks' without their error of a frame ago, and near the last."""
        config, state = self._config, solution.state
        own = self._compared(view, state, focal_px)
        if own is None or previous is None:
            return Refined(state, doubt, 0.0)
        expected = _stepped(state, -self._bias)
        held = FitState(previous.rotation, previous.translation, state.expression)
        # The network's error wanders little while nothing moves before the face, and jumps when something comes or goes.
        wander = self._drift * (1.0 + (config.change_gain * changed) ** 2 + (1.0 - doubt) * 9.0)
        pulls = [
            (expected, np.diag(1.0 / wander)),
            (held, np.diag(1.0 / (self._floor + self._usual_motion * self._motion))),
        ]
        if trust.any():
            root = np.sqrt(np.broadcast_to(trust, POSE))
            pulls.append((state, root[:, None] * _pose_information(solution).marginal * root))
        total = np.sum([information for _, information in pulls], axis=0)
        best, best_rows = state, own
        for start in (expected, held):
            rows = self._look(look, start, focal_px)
            if rows is not None and rows.explained > best_rows.explained:
                best, best_rows = start, rows
        for _ in range(config.steps):
            gradient = best_rows.gradient.copy()
            for towards, information in pulls:
                gradient += information @ _between(best, towards)
            step = np.asarray(np.linalg.solve(total + best_rows.normal, gradient), np.float64)
            moved = _stepped(best, step)
            rows = self._look(look, moved, focal_px)
            if rows is None:
                break
            best, best_rows = moved, rows
        if not self._is_confirmed(best, best_rows, state, own, focal_px, width_px):
            return Refined(state, doubt, own.explained)
        return Refined(best, doubt, best_rows.explained)

    def _look(self, look: Look, state: FitState, focal_px: float) -> PoseRows | None:
        view = look(state)
        return None if view is None else self._compared(view, state, focal_px)

    def _compared(self, view: SkinView, state: FitState, focal_px: float) -> PoseRows | None:
        beyond = self._memory.beyond(view)
        return None if beyond is None else linearise(beyond, state.translation, focal_px, self._config.remembered)

    def _doubt(self, explained: float, covered: float) -> float:
        config = self._config
        if self._usual is None:
            self._usual = explained
        wary = min(max((covered - config.wary_share) / config.wary_span, 0.0), 1.0)
        self._calm = explained > self._usual - config.calm_margin
        missing = self._usual - explained - config.doubt_from + wary * (config.doubt_from - config.wary_from)
        doubt = min(max(missing / config.doubt_span, 0.0), 1.0)
        # A face that came to look different for good (new light, a beard taken for an object) becomes the usual one.
        self._usual += config.usual_rate * (1.0 if doubt == 0.0 else 0.1) * (explained - self._usual)
        return doubt

    def _is_confirmed(
        self, found: FitState, rows: PoseRows, start: FitState, start_rows: PoseRows, focal_px: float, width_px: float
    ) -> bool:
        config = self._config
        if not (np.isfinite(found.translation).all() and float(found.translation[2]) > 0.02):
            return False
        if rows.explained < max(config.least_explained, start_rows.explained - config.margin):
            return False
        apart = found.translation[:2] / found.translation[2] - start.translation[:2] / start.translation[2]
        turned = float(np.linalg.norm(rotvec_from_matrix(found.rotation @ start.rotation.T)))
        return float(np.hypot(*apart)) * focal_px < config.farthest * width_px and turned < config.farthest_rad


@dataclass(frozen=True, slots=True)
class _PoseInformation:
    marginal: Float64
    """(6, 6) what landmarks and priors say about the pose when expression may follow."""
    response: Float64
    """(Ne, 6) how expression follows the pose."""


def _pose_information(solution: Solution) -> _PoseInformation:
    size = POSE + solution.state.expression.shape[0]
    normal = solution.normal_matrix[:size, :size]
    cross = normal[POSE:, :POSE]
    stiff = normal[POSE:, POSE:] + 1e-9 * np.eye(size - POSE)
    response = np.asarray(-np.linalg.solve(stiff, cross), np.float64)
    return _PoseInformation(normal[:POSE, :POSE] + cross.T @ response, response)


def _between(start: FitState, end: FitState) -> Float64:
    """The pose step (6,) from one state to another."""
    return np.concatenate([rotvec_from_matrix(end.rotation @ start.rotation.T), end.translation - start.translation])


def _stepped(state: FitState, step: Float64) -> FitState:
    return FitState(matrix_from_rotvec(step[:3]) @ state.rotation, state.translation + step[3:], state.expression)
