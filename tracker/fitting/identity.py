"""Identity belongs to the person, not to the frame: a Gaussian belief that informative frames sharpen.

Each keyframe is solved jointly for pose, expression and identity with the belief as prior; pose and expression are then
marginalised out of its normal matrix (Schur complement) and what is left is added to the belief. When new keyframes no
longer move the face, the belief is frozen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracker.enrolment.file import Enrolment
from tracker.fitting.identity_modes import IdentityModes
from tracker.fitting.residuals import IdentityPrior
from tracker.fitting.solver import Solution
from tracker.types import IdentityState

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_NOVEL_FRAMES = 2


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """When a frame teaches something about identity, and when enough is known."""

    prior_weight: float = 15.0
    """Weight of the population prior against landmarks taken as independent. Their errors are not: with a weight of 1 the shape
    explains noise and lands further from the truth than the mean face (docs/accuracy.md). It holds for landmarks that lie where
    the model has them."""
    seen_off_m: float = 0.0005
    """How far landmarks are seen off their places on a head that they were placed on by pictures, alike in all frames (RMS). What
    a foreign head's points lie off besides adds to it, and weakens what landmarks tell about identity as variances do."""
    first_frames: int = 32
    """Of that many first frames ..."""
    first_stride: int = 4
    """... every so-many-th is a keyframe whatever it shows: together they average the first one's noise away."""
    novel_rotation_rad: float = 0.1
    """A keyframe differs from every earlier one by at least this much head rotation ..."""
    novel_expression: float = 0.8
    """... or by this much expression (L1 norm of the weights)."""
    max_keyframes: int = 40
    settle_m: float = 0.0002
    """Frozen once a novel keyframe moves the landmarks of the relaxed face by less than this (RMS) ..."""
    settle_keyframes: int = 6
    """... this many times in a row. More of the same view cannot settle anything."""
    information_cap: float = 12.0
    """The landmark network errs alike in all frames of a face, so keyframes never count as more independent ones than this."""
    published_evidence: float = 0.25
    """Share of the evidence that counts in the published uncertainty. Landmarks are biased alike in all frames: with all of it,
    errors on rendered people are 1.3 times as large as predicted, with this share as large (``tools/evaluate.py identity``)."""

    def for_points_off_by(self, uncertainty_m: float) -> IdentityConfig:
        """These settings for a model whose landmarks lie off the places that the network means by so much (RMS, metres)."""
        return replace(self, prior_weight=self.prior_weight * (1.0 + (uncertainty_m / self.seen_off_m) ** 2))


def shape_metric(points: Float32, basis: Float32) -> Float64:
    """(Ni, Ni) matrix G such that b^T G b is the squared size of what coefficients b do to the relaxed face, up to a similarity.

    Motion, turning and size are taken out, since no fit to one view knows them.

    Args:
        points: (L, 3) points of the mean face, metres.
        basis: (3, L, Ni) their derivatives by identity.
    """
    x, y, z = (points - points.mean(axis=0)).T.astype(np.float64)
    one, zero = np.ones_like(x), np.zeros_like(x)
    tangents = np.array(
        [
            (one, zero, zero), (zero, one, zero), (zero, zero, one),
            (zero, -z, y), (z, zero, -x), (-y, x, zero), (x, y, z),
        ]
    ).reshape(7, -1)  # fmt: skip
    known, _ = np.linalg.qr(tangents.T)
    flat = basis.reshape(-1, basis.shape[2]).astype(np.float64)
    shape = flat - known @ (known.T @ flat)
    metric: Float64 = shape.T @ shape
    return metric


class IdentityBelief:
    """What is known about the identity (Ni,) of one person: the sum of what keyframes say, and the population.

    Every keyframe leaves its information matrix E_k and pull E_k b_k, pose and expression marginalised out. With n of them the
    mean is (P + s sum E_k)^-1 s sum E_k b_k, where s = min(1, cap / n): all count alike, early and late, and errors that they
    share never count as independent ones.
    """

    def __init__(
        self, metric: Float64, config: IdentityConfig | None = None, modes: IdentityModes | None = None
    ) -> None:
        """``metric``: (Ni, Ni) of ``shape_metric``, the measure of ``confidence``. ``modes`` tell what identity is made of here
        and what is published; without, both are the same.
        """
        self._modes = modes
        self._config = config or IdentityConfig()
        self._metric = metric
        self._count = metric.shape[0]
        self.version = 0
        """Grows with every change of the mean, also through ``reset``."""
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self.mean: Float64 = np.zeros(self._count)
        self._evidence: Float64 = np.zeros((self._count, self._count))
        self._pull: Float64 = np.zeros(self._count)
        self._rotations: list[Float64] = []
        self._expressions: list[Float32] = []
        self._settled = 0
        self._novel_frames = 0
        self._novel = False
        self._state: IdentityState | None = None
        self.frozen = False
        self.version += 1

    @property
    def prior_weight(self) -> float:
        """What the population counts against the evidence."""
        return self._config.prior_weight

    @property
    def keyframe_count(self) -> int:
        return len(self._rotations)

    @property
    def _share(self) -> float:
        return min(1.0, self._config.information_cap / max(self.keyframe_count, 1))

    @property
    def information(self) -> Float64:
        """(Ni, Ni): the population's information plus what the keyframes add."""
        total: Float64 = self._config.prior_weight * np.eye(self._count) + self._share * self._evidence
        return total

    @property
    def covariance(self) -> Float64:
        """(Ni, Ni) of the error of ``mean``, in units of the population (an identity without keyframes has the unit matrix)."""
        gain = self._config.published_evidence * self._share / self._config.prior_weight
        return np.asarray(np.linalg.inv(np.eye(self._count) + gain * self._evidence), np.float64)

    @property
    def state(self) -> IdentityState:
        """How far the mean can be trusted, as published."""
        if self._state is None:
            covariance = self.covariance
            unknown = float((self._metric * covariance).sum() / np.trace(self._metric))
            self._state = IdentityState(
                confidence=min(max(1.0 - unknown, 0.0), 1.0),
                frozen=self.frozen,
                keyframes=self.keyframe_count,
                sigma=np.minimum(np.sqrt(np.diag(covariance)), 1.0).astype(np.float32)
                if self._modes is None
                else self._modes.sigma(covariance),
            )
        return self._state

    def prior(self) -> IdentityPrior:
        """The belief as a prior for the next joint solve."""
        return IdentityPrior(self.information, self.mean)

    def wants(self, rotation: Float64, expression: Float32, age: int) -> bool:
        """Whether a frame with this pose (3, 3) and expression (Ne,), ``age`` frames after the first, teaches something.

        Asked once a frame: a single novel one may be noise, so it takes a second in a row.
        """
        if self.frozen:
            return False
        if age < self._config.first_frames and age % self._config.first_stride == 0:
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

    def learn(self, solution: Solution) -> None:
        """Add a joint solution, made with ``prior()``, as a keyframe. ``settle`` belongs after it."""
        nuisance = solution.normal_matrix.shape[0] - self._count
        normal, prior = solution.normal_matrix, self.prior()
        cross = normal[:nuisance, nuisance:]
        data = normal[nuisance:, nuisance:] - prior.information
        marginal = data - cross.T @ np.linalg.solve(normal[:nuisance, :nuisance], cross)
        marginal = 0.5 * (marginal + marginal.T)
        found = solution.identity.astype(np.float64)
        self._evidence += marginal
        # At the joint optimum the keyframe's own pull balances the prior's: E (b - b_k) + P (b - m) = 0.
        self._pull += marginal @ found + prior.information @ (found - prior.mean)
        self._novel = self._is_novel(solution.state.rotation, solution.state.expression)
        self._rotations.append(solution.state.rotation)
        self._expressions.append(solution.state.expression)
        self.mean = np.asarray(np.linalg.solve(self.information, self._share * self._pull), np.float64)
        self._state = None
        self.version += 1

    @property
    def evidence(self) -> Float64:
        """(Ni, Ni): the information without the population's."""
        return np.asarray(self._share * self._evidence, np.float64)

    def adopt(self, mean: Float64, evidence: Float64, rotations: Float64) -> None:
        """Believe what was found elsewhere, frozen: mean (Ni,), evidence (Ni, Ni) and the views (K, 3, 3) it came from."""
        self.reset()
        self.mean = mean.astype(np.float64)
        self._rotations = list(rotations)
        self._expressions = [np.zeros(0, np.float32)] * len(rotations)
        self._evidence = evidence / self._share
        self._pull = (self._config.prior_weight * self.mean + evidence @ self.mean) / self._share
        self.frozen = True

    def adopt_enrolment(self, enrolment: Enrolment) -> None:
        """Believe an enrolment made with the same face model."""
        count = self._config.prior_weight / self._config.published_evidence
        evidence = count * (np.linalg.inv(enrolment.covariance) - np.eye(len(enrolment.covariance)))
        evidence, mean = 0.5 * (evidence + evidence.T), enrolment.identity.astype(np.float64)
        if self._modes is not None:
            evidence, mean = self._modes.modes_information(evidence), self._modes.modes_of(mean)
        self.adopt(mean, evidence, enrolment.rotations)

    def settle(self, moved_m: float) -> None:
        """Freeze when the last keyframes hardly moved the relaxed landmarks; ``moved_m``: the RMS motion by the last one."""
        if moved_m >= self._config.settle_m:
            self._settled = 0
        elif self._novel:
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

    def reset(self, normal: float | None = None) -> None:
        """Start over; the next frames say what is normal unless it is given."""
        self._first: list[float] = [] if normal is None else [normal] * self._BASELINE_FRAMES
        self._normal = normal or 0.0
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
