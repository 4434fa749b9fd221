"""What a fit believes of landmarks and expressions while something is in front of the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

_LEAST_TRUST: Final = 0.01
_SIGMA_COVERED: Final = 4.0
"""By how many times the error of a landmark grows that is surely covered, and of every one in complete doubt."""
_SIGMA_DOUBT: Final = 3.0
_DOUBT_OPENS: Final = 2.0
_CALM_RATE: Final = 0.12
"""Share of a frame in the expression that is held: a mean over about eight, of which the last may be dragged already."""
_HELD_IN_DOUBT: Final = 0.4
_RELAX_RATE: Final = 0.01
"""Share of a held expression that is let go per frame: after three seconds half of it is left, and in the end the face rests."""


@dataclass(frozen=True, slots=True)
class Covering:
    """What was in front of a face in the last frame."""

    landmarks: Float32
    """(N,) probability that each landmark of the set was covered."""
    fraction: float
    """Share of the visible skin that was covered."""


def gated(covered: Float32, doubt: float) -> Float32:
    """Probabilities (L,) that landmarks are covered, for a fit in which ``doubt`` is left about them all.

    Opened mouths and closed eyes look covered too. They leave the rest of the face as it was, so that the fit is not in doubt.
    """
    believed: Float32 = covered * np.float32(min(1.0, _DOUBT_OPENS * doubt))
    return believed


def lowered(precision: Float32, covered: Float32) -> Float32:
    """Precisions (L,) of landmarks that are covered with probabilities (L,)."""
    free = 1.0 - np.clip(covered, 0.0, 1.0)
    trusted: Float32 = (precision * np.maximum(free * free, np.float32(_LEAST_TRUST))).astype(np.float32)
    return trusted


def widened(sigma: Float32, covered: Float32 | None, doubt: float) -> Float32:
    """Standard deviations (N,) of landmarks, covered with probabilities (N,), on a face whose landmarks are in doubt."""
    hidden = np.float32(0.0) if covered is None else (_SIGMA_COVERED - 1.0) * np.clip(covered, 0.0, 1.0)
    wide: Float32 = (sigma * (1.0 + np.maximum(hidden, (_SIGMA_DOUBT - 1.0) * doubt))).astype(np.float32)
    return wide


class HeldExpression:
    """The expression of a face as it was before something came in front of it.

    Args:
        influence: (L, Ne) how far each weight moves each landmark; weights that move nothing are left alone.
    """

    def __init__(self, influence: Float32) -> None:
        total = influence.sum(axis=0)
        self._share: Float32 = (influence / np.maximum(total, np.float32(1e-12))).astype(np.float32)
        self._shows = total > 1e-9
        self._calm: Float32 | None = None

    def reset(self) -> None:
        """Nothing is held."""
        self._calm = None

    def follow(self, expression: Float32) -> None:
        """Take in the expression (Ne,) of a frame in which nothing is in front of the face."""
        if self._calm is None:
            self._calm = expression.copy()
        self._calm += np.float32(_CALM_RATE) * (expression - self._calm)

    def __call__(self, expression: Float32, covered: Float32 | None, doubt: float) -> Float32:
        """The expression (Ne,) to believe, of a fit whose landmarks (L,) were covered with probabilities ``covered``.

        What is covered keeps its mean over the last frames without doubt, and in complete doubt all of the face two fifths of it.
        """
        if self._calm is None:
            self._calm = expression.copy()
        held = np.full(expression.shape[0], _HELD_IN_DOUBT * doubt, np.float32)
        if covered is not None:
            # A lip is as good as hidden when half of what moves with it is.
            np.maximum(held, np.clip(2.0 * (covered @ self._share), 0.0, 1.0), out=held)
        held[~self._shows] = 0.0
        believed: Float32 = (expression + held * (self._calm - expression)).astype(np.float32)
        self._calm += np.float32(_CALM_RATE) * (1.0 - held) * (expression - self._calm)
        self._calm -= np.float32(_RELAX_RATE) * held * self._calm
        return believed
