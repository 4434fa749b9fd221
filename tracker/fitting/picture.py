"""Landmarks and picture together: the pose that both agree on, and what to believe when they do not.

Landmarks are always near the face and never exact; the picture is exact where it shows known skin and says nothing elsewhere.
While the picture at the landmarks' pose is what the skin predicts, one step of both together steadies the pose. When it is not,
something is in front of the face or the landmarks have been dragged off: networks place all of a half-hidden face by what hides
it. Then the picture is asked where the uncovered skin went since the last frame, and landmarks keep a small say. A pose that the
picture does not confirm as well as the landmarks' own, or that is far from it, is not taken: a face that moves is never held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracker.fitting.photometric import POSE, PhotometricConfig, PoseRows, explained_share, linearise
from tracker.fitting.residuals import FitState
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
    always: bool = False
    """Refine every pose, not only those in doubt: the raw fit gets steadier, and a little different."""
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
    landmark_trust: float = 0.03
    """Weight of the landmarks' pose in complete doubt."""
    turn_sigma_rad: float = 0.03
    shift_sigma_m: float = 0.004
    """How far a half-hidden head is expected to move between frames: what little holds it where the picture says nothing."""
    steps: int = 3
    least_explained: float = 0.30
    """Below this the picture does not know either."""
    margin: float = 0.03
    """By how much more of the skin another pose must explain to be taken for the landmarks'."""
    farthest: float = 0.06
    farthest_rad: float = 0.15
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
        self._usual: float | None = None

    def reset(self) -> None:
        """Another person, or the same one after a gap."""
        self._usual = None

    def refine(
        self,
        solution: Solution,
        look: Look,
        covered: float,
        previous: FitState | None,
        focal_px: float,
        width_px: float,
    ) -> Refined:
        """The pose of a frame.

        Args:
            solution: the landmarks' own.
            look: what the picture shows at a state.
            covered: share of the skin that was covered in the last frame.
            previous: the state of the last frame.
            focal_px: focal length.
            width_px: width of the face in the picture.
        """
        config, state = self._config, solution.state
        view = look(state)
        explained = None if view is None else explained_share(view, config.photometric)
        if view is None or explained is None:
            return Refined(state, 0.0, 0.0)
        doubt = self._doubt(explained, covered)
        if doubt <= 0.0 and not config.always:
            return Refined(state, 0.0, explained)
        rows = linearise(view, state.translation, focal_px, config.photometric)
        assert rows is not None
        pull = _pose_information(solution)
        if doubt <= 0.0:
            step = np.asarray(np.linalg.solve(pull.marginal + rows.normal, rows.gradient), np.float64)
            followed = state.expression + (pull.response @ step).astype(np.float32)
            expression = np.clip(followed, self._bounds[:, 0], self._bounds[:, 1])
            return Refined(replace(_stepped(state, step), expression=expression), 0.0, rows.explained)
        best, best_rows = state, rows
        if previous is not None:
            held = FitState(previous.rotation, previous.translation, state.expression)
            held_rows = self._rows(look, held, focal_px)
            if held_rows is not None and held_rows.explained > rows.explained:
                best, best_rows = held, held_rows
        spread = np.repeat([config.turn_sigma_rad, config.shift_sigma_m], 3)
        rest = doubt * np.diag(spread**-2.0) if previous is not None else np.zeros((POSE, POSE))
        trust = 1.0 - doubt * (1.0 - config.landmark_trust)
        for _ in range(config.steps):
            away = _between(best, state)
            gradient = trust * (pull.marginal @ away) + best_rows.gradient
            if previous is not None:
                gradient += rest @ _between(best, previous)
            step = np.asarray(np.linalg.solve(trust * pull.marginal + best_rows.normal + rest, gradient), np.float64)
            moved = _stepped(best, step)
            moved_rows = self._rows(look, moved, focal_px)
            if moved_rows is None:
                break
            best, best_rows = moved, moved_rows
        if not self._is_confirmed(best, best_rows, state, rows, focal_px, width_px):
            return Refined(state, doubt, rows.explained)
        return Refined(best, doubt, best_rows.explained)

    def _rows(self, look: Look, state: FitState, focal_px: float) -> PoseRows | None:
        view = look(state)
        return None if view is None else linearise(view, state.translation, focal_px, self._config.photometric)

    def _doubt(self, explained: float, covered: float) -> float:
        config = self._config
        if self._usual is None:
            self._usual = explained
        wary = min(max((covered - config.wary_share) / config.wary_span, 0.0), 1.0)
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
