"""What expression weights are expected before the landmarks are looked at.

Geometry alone gets semantics wrong: it explains a smile as a lip roll with a cheek puff. The encoder's scores say what a face
does, the landmarks how far. So the prior of each weight is a Gaussian around its score, wide where scores are good but
their scale is not, narrow around zero where neither scores nor landmarks know anything.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT

Float32 = NDArray[np.float32]

_DEFAULT_SIGMA: Final = 0.07
_WITHOUT_HINT_SIGMA: Final = 0.25
# The networks keep these near zero on every real clip: its silence says nothing about them.
SILENT_SCORES: Final = frozenset(
    {"cheekPuff", "noseSneerLeft", "noseSneerRight", "cheekSquintLeft", "cheekSquintRight", "jawForward", "jawLeft",
     "jawRight"}
)  # fmt: skip
# Scores at which an eye is open and shut: on real clips the network gives shut eyes 0.6 to 0.8, on rendered ones 0.5 to 0.6.
_RESPONSE: Final[dict[str, tuple[float, float]]] = {"eyeBlinkLeft": (0.14, 0.62), "eyeBlinkRight": (0.14, 0.62)}
# How far landmarks may pull a weight off its score. Chosen on rendered heads of another model (tools/evaluate.py synthetic):
# wide where the fit knows better than the score (jaw, blinks), narrow where the score does (funnel, brows, lips).
_SIGMA: Final[dict[str, float]] = {
    "jawOpen": 0.3, "mouthClose": 0.03, "mouthSmileLeft": 0.12, "mouthSmileRight": 0.12,
    "mouthPucker": 0.15, "mouthFunnel": 0.03, "mouthLeft": 0.06, "mouthRight": 0.06,
    "mouthRollLower": 0.04, "mouthRollUpper": 0.04, "mouthUpperUpLeft": 0.05, "mouthUpperUpRight": 0.05,
    "mouthLowerDownLeft": 0.05, "mouthLowerDownRight": 0.05,
    "eyeBlinkLeft": 0.12, "eyeBlinkRight": 0.12, "eyeWideLeft": 0.15, "eyeWideRight": 0.15,
    "browInnerUp": 0.25, "browDownLeft": 0.05, "browDownRight": 0.05, "browOuterUpLeft": 0.2, "browOuterUpRight": 0.2,
    "jawLeft": 0.15, "jawRight": 0.15, "jawForward": 0.08,
    "cheekPuff": 0.1, "noseSneerLeft": 0.1, "noseSneerRight": 0.1, "cheekSquintLeft": 0.08, "cheekSquintRight": 0.08,
    "tongueOut": 0.05,
}  # fmt: skip
_LOOK: Final = tuple(name for name in ARKIT_INDEX if name.startswith("eyeLook"))

# Both eyes look at the same thing: they share their pitch and, but for near things and squinters, their yaw.
_EYES_APART_PITCH_RAD: Final = 0.04
_EYES_APART_YAW_RAD: Final = 0.2


def gaze_coupling(joint_drive: Float32) -> NDArray[np.float64]:
    """Information matrix (Ne, Ne) that holds the eyes together, from what expressions turn the joints by, (Ne, J, 3)."""
    apart = (joint_drive[:, EYE_LEFT] - joint_drive[:, EYE_RIGHT]).astype(np.float64)
    rows = apart[:, :2].T / np.array([[_EYES_APART_PITCH_RAD], [_EYES_APART_YAW_RAD]])
    coupling: NDArray[np.float64] = rows.T @ rows
    return coupling


class ExpressionPrior:
    """Means and standard deviations for a model whose expressions carry ``names``; names ARKit does not know get zero mean."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._arkit = np.array([ARKIT_INDEX.get(name, -1) for name in names], np.intp)
        self._listens = np.array([name in ARKIT_INDEX and name not in SILENT_SCORES for name in names])
        # Irises are seen directly and far better than the scores know them.
        look = np.array([name in _LOOK for name in names])
        self._with_hint = np.array([_SIGMA.get(name, _DEFAULT_SIGMA) for name in names], np.float32)
        self._with_hint[look] = 0.5
        self._without_hint = np.array(
            [min(_SIGMA.get(name, _WITHOUT_HINT_SIGMA), _WITHOUT_HINT_SIGMA) for name in names], np.float32
        )
        self._without_hint[look] = 0.5
        self._listens &= ~look
        response = np.array([_RESPONSE.get(name, (0.0, 1.0)) for name in names], np.float32)
        self._silent_below, self._span = response[:, 0], response[:, 1] - response[:, 0]

    def given(self, hint: Float32 | None) -> tuple[Float32, Float32]:
        """Mean and sigma (Ne,) each, for scores (52,) in ARKit order or None."""
        mean = np.zeros(self._arkit.shape[0], np.float32)
        if hint is None:
            return mean, self._without_hint
        mean[self._listens] = hint[self._arkit[self._listens]]
        return np.clip((mean - self._silent_below) / self._span, 0.0, 1.0) * self._listens, self._with_hint
