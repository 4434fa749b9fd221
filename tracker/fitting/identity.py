"""Identity belongs to the person, not to the frame: a Gaussian belief that informative frames sharpen.

Each keyframe is solved jointly for pose, expression and identity with the belief as prior; pose and expression are then
marginalised out of its normal matrix (Schur complement) and what is left is added to the belief's information. When new
keyframes no longer move the face, the belief is frozen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.fitting.residuals import IdentityPrior
from tracker.fitting.solver import Solution

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_NOVEL_FRAMES = 2


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """When a frame teaches something about identity, and when enough is known."""

    prior_weight: float = 15.0
    """Weight of the population prior against landmarks taken as independent. Their errors are not: with a weight of 1 the shape
    explains noise and lands further from the truth than the mean face (docs/accuracy.md)."""
    novel_rotation_rad: float = 0.12
    """A keyframe differs from every earlier one by at least this much head rotation ..."""
    novel_expression: float = 0.9
    """... or by this much expression (L1 norm of the weights)."""
    max_keyframes: int = 40
    settle_m: float = 0.00025
    """Frozen once a novel keyframe moves the landmarks of the relaxed face by less than this (RMS) ..."""
    settle_keyframes: int = 6
    """... this many times in a row. More of the same view cannot settle anything."""
    information_cap: float = 12.0
    """The landmark network errs alike in all frames of a face, so keyframes never count as more independent ones than this."""


class IdentityBelief:
    """What is known about the identity (Ni,) of one person."""

    def __init__(self, count: int, config: IdentityConfig | None = None) -> None:
        self._config = config or IdentityConfig()
        self._count = count
        self.version = 0
        """Grows with every change of the mean, also through ``reset``."""
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self.mean: Float64 = np.zeros(self._count)
        self._evidence: Float64 = np.zeros((self._count, self._count))
        self._rotations: list[Float64] = []
        self._expressions: list[Float32] = []
        self._settled = 0
        self._novel_frames = 0
        self.frozen = False
        self.version += 1

    @property
    def keyframe_count(self) -> int:
        return len(self._rotations)

    @property
    def information(self) -> Float64:
        """(Ni, Ni): the population's information plus what the keyframes add."""
        count = self.keyframe_count
        share = min(1.0, self._config.information_cap / count) if count else 1.0
        total: Float64 = self._config.prior_weight * np.eye(self._count) + share * self._evidence
        return total

    @property
    def confidence(self) -> float:
        """How much of the population's variance has been explained: 1 - trace(covariance) / Ni, 0..1."""
        variance = np.trace(np.linalg.inv(self.information)) * self._config.prior_weight
        return float(1.0 - variance / self._count)

    def prior(self) -> IdentityPrior:
        """The belief as a prior for the next joint solve."""
        return IdentityPrior(self.information, self.mean)

    def wants(self, rotation: Float64, expression: Float32, age: int) -> bool:
        """Whether a frame with this pose (3, 3) and expression (Ne,), ``age`` frames after the first, teaches something.

        Early frames at doubling distances are always taken: they average the first one's noise away. Asked once a frame: a
        single novel one may be noise, so it takes a second in a row.
        """
        if self.frozen:
            return False
        if age < 64 and age & (age - 1) == 0:
            return True
        self._novel_frames = self._novel_frames + 1 if self._is_novel(rotation, expression) else 0
        return self._novel_frames >= _NOVEL_FRAMES

    def _is_novel(self, rotation: Float64, expression: Float32) -> bool:
        if not self._rotations:
            return True
        moved = np.abs(np.stack(self._expressions) - expression).sum(axis=1)
        return not bool((self._near(rotation) & (moved < self._config.novel_expression)).any())

    def knows_view(self, rotation: Float64) -> bool:
        """Whether some keyframe showed the head from much the same side."""
        return bool(self._rotations) and bool(self._near(rotation).any())

    def _near(self, rotation: Float64) -> NDArray[np.bool_]:
        # The angle between rotations follows from the trace of one times the other's transpose.
        cosines = (np.tensordot(np.stack(self._rotations), rotation, axes=2) - 1.0) / 2.0
        near: NDArray[np.bool_] = cosines > math.cos(self._config.novel_rotation_rad)
        return near

    def learn(self, solution: Solution, moved_m: float) -> None:
        """Add a joint solution as a keyframe. ``moved_m``: RMS motion of the relaxed landmarks it caused."""
        nuisance = solution.normal_matrix.shape[0] - self._count
        normal = solution.normal_matrix
        cross = normal[:nuisance, nuisance:]
        data = normal[nuisance:, nuisance:] - self.prior().information
        marginal = data - cross.T @ np.linalg.solve(normal[:nuisance, :nuisance], cross)
        self._evidence += 0.5 * (marginal + marginal.T)
        self.mean = solution.identity.astype(np.float64)
        novel = self._is_novel(solution.state.rotation, solution.state.expression)
        self._rotations.append(solution.state.rotation)
        self._expressions.append(solution.state.expression)
        self.version += 1
        if moved_m >= self._config.settle_m:
            self._settled = 0
        elif novel:
            self._settled += 1
        if self._settled >= self._config.settle_keyframes or self.keyframe_count >= self._config.max_keyframes:
            self.frozen = True


class PersonWatch:
    """Notices that a frozen identity is not the person in the picture any more: what fitted well fits badly for long.

    Sides of the head that no keyframe showed may fit worse without being somebody else's, so they count only when far worse.
    """

    _BASELINE_FRAMES = 30
    _PATIENCE_FRAMES = 45
    _FACTOR_KNOWN_VIEW = 1.5
    _FACTOR_NEW_VIEW = 5.0
    _FLOOR = 0.002

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over with the next frames as what is normal."""
        self._first: list[float] = []
        self._normal = 0.0
        self._evidence = 0

    def is_other_person(self, misfit: float, *, known_view: bool) -> bool:
        """Take in a frame's misfit (median residual over face width); True once another person is the better story."""
        if len(self._first) < self._BASELINE_FRAMES:
            self._first.append(misfit)
            self._normal = float(np.median(self._first))
            return False
        factor = self._FACTOR_KNOWN_VIEW if known_view else self._FACTOR_NEW_VIEW
        bad = misfit > factor * self._normal + self._FLOOR
        self._evidence = self._evidence + 1 if bad else max(0, self._evidence - 1)
        return self._evidence >= self._PATIENCE_FRAMES
