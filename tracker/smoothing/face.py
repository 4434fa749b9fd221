"""One-euro smoothing of a face, a filter per parameter group.

The head's rotation is filtered as a small rotation relative to the last smoothed one, its position with depth apart (depth is
an order of magnitude noisier than the rest), eyelids and gaze faster than the rest of the face: a blink lasts three frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.fitting.residuals import FitState
from tracker.rotations import matrix_from_rotvec, rotvec_from_matrix
from tracker.smoothing.one_euro import OneEuroConfig, OneEuroFilter

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_LONGEST_STEP_S = 0.5
_SHORTEST_STEP_S = 1e-3
_LONGEST_MEAN_S = 8.0


@dataclass(frozen=True, slots=True)
class SmoothingConfig:
    """Cut-offs per parameter group. Chosen with ``tools/evaluate.py steadiness`` (docs/accuracy.md)."""

    enabled: bool = True
    rotation: OneEuroConfig = field(default_factory=lambda: OneEuroConfig(0.25, 100.0, 6.0, 2.7))
    position: OneEuroConfig = field(default_factory=lambda: OneEuroConfig(0.25, 900.0, 2.5, 2.6))
    depth: OneEuroConfig = field(default_factory=lambda: OneEuroConfig(0.3, 45.0, 10.0, 2.5))
    expression: OneEuroConfig = field(default_factory=lambda: OneEuroConfig(0.4, 30.0, 8.0, 4.2))
    eyes: OneEuroConfig = field(default_factory=lambda: OneEuroConfig(0.6, 90.0, 10.0, 3.0))


class FaceSmoother:
    """Smooths the states of one face. ``names`` are the model's expressions."""

    def __init__(self, names: tuple[str, ...], config: SmoothingConfig | None = None) -> None:
        self._config = config or SmoothingConfig()
        quick = np.array(
            [name.startswith(("eyeBlink", "eyeLook", "eyeWide", "eyeSquint", "eye_", "eyelid_")) for name in names]
        )
        self._quick, self._slow = np.flatnonzero(quick), np.flatnonzero(~quick)
        self._turn = OneEuroFilter(self._config.rotation, joint=True)
        self._bearing = OneEuroFilter(self._config.position, joint=True)
        self._depth = OneEuroFilter(self._config.depth, joint=True)
        self._face = OneEuroFilter(self._config.expression, joint=False)
        self._eyes = OneEuroFilter(self._config.eyes, joint=False)
        self._rotation: Float64 | None = None
        self._anchor: Float64 = np.eye(3)
        self._last_ns = 0
        self._still_s = 0.0

    def reset(self) -> None:
        """Pass the next state through unchanged."""
        self._rotation = None
        for filtered in (self._turn, self._bearing, self._depth, self._face, self._eyes):
            filtered.reset()

    def __call__(self, state: FitState, t_capture_ns: int, *, still: bool = False) -> FitState:
        """The smoothed state of a frame captured at ``t_capture_ns``; ``still`` when the picture shows that nothing moves.

        A gap of more than half a second, or time running backwards, starts afresh.
        """
        if not self._config.enabled:
            return state
        step_s = (t_capture_ns - self._last_ns) * 1e-9
        if self._rotation is None or not 0.0 <= step_s <= _LONGEST_STEP_S:
            self.reset()
            self._anchor = state.rotation
            still = False
        self._last_ns = t_capture_ns
        step_s = max(step_s, _SHORTEST_STEP_S)
        self._still_s = min(self._still_s + step_s, _LONGEST_MEAN_S) if still else 0.0
        # Bearing in units of depth: a metre sideways counts by how far it moves in the picture.
        depth = state.translation[2]
        bearing = self._bearing(state.translation[:2] / depth, step_s, self._still_s)
        smooth_depth = float(np.exp(self._depth(np.array([np.log(depth)]), step_s, self._still_s)[0]))
        turned = self._turn(rotvec_from_matrix(state.rotation @ self._anchor.T), step_s, self._still_s)
        self._rotation = matrix_from_rotvec(turned) @ self._anchor
        if np.linalg.norm(turned) > 0.5:
            self._reanchor(turned)
        expression = state.expression.copy()
        expression[self._slow] = self._face(state.expression[self._slow], step_s, self._still_s)
        expression[self._quick] = self._eyes(state.expression[self._quick], step_s, self._still_s)
        return FitState(self._rotation, np.array([*(bearing * smooth_depth), smooth_depth]), expression)

    def _reanchor(self, turned: Float64) -> None:
        """Move the anchor to the current rotation: the tangent space is only good for small turns."""
        assert self._rotation is not None
        self._anchor = self._rotation
        self._turn.rebase(turned)
