"""What expression weights are expected before the landmarks are looked at.

Geometry alone gets semantics wrong: it explains a smile as a lip roll with a cheek puff. The encoder's scores say what a face
does, the landmarks how far. So the prior of each weight is a Gaussian around its score, wide where scores are good but
their scale is not, narrow around zero where neither scores nor landmarks know anything.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT

Float32 = NDArray[np.float32]

# The networks keep these near zero on every real clip: its silence says nothing about them.
SILENT_SCORES: Final = frozenset(
    {"cheekPuff", "noseSneerLeft", "noseSneerRight", "cheekSquintLeft", "cheekSquintRight", "jawForward", "jawLeft",
     "jawRight"}
)  # fmt: skip


class Response(NamedTuple):
    """How networks answer to one expression."""

    sigma: float
    """How far landmarks may pull the weight off what its score says."""
    silent_below: float = 0.0
    """Score of a face without it ..."""
    full_from: float = 1.0
    """... and of one that has all of it."""
    shown: float = 1.0
    """How much of it the landmarks show: irises, for one, are seen to move half as far up and down as they do."""


# By name without its side, so that both sides answer alike. Chosen with tools/evaluate.py expressions on half of its people and
# clips: wide where the fit knows better than the score (jaw, brows), narrow where the score does (funnel, smile).
RESPONSES: Final[dict[str, Response]] = {
    "browDown": Response(0.22, silent_below=0.03, full_from=0.23, shown=0.7),
    "browInnerUp": Response(0.25, shown=0.8),
    "browOuterUp": Response(0.3, silent_below=0.05, shown=0.75),
    "eyeBlink": Response(0.05, shown=0.8),
    "eyeSquint": Response(0.08, full_from=0.9, shown=0.8),
    "eyeWide": Response(0.1, silent_below=0.008, full_from=0.16, shown=0.8),
    "eyeLookUp": Response(0.42, shown=0.6),
    "eyeLookDown": Response(0.42, shown=0.6),
    "eyeLookIn": Response(0.5),
    "eyeLookOut": Response(0.5),
    "jawOpen": Response(0.3, shown=0.9),
    "mouthClose": Response(0.09, silent_below=0.03, full_from=0.8),
    "mouthPucker": Response(0.15, shown=0.9),
    "mouthFunnel": Response(0.06, full_from=0.35, shown=0.8),
    "mouthSmile": Response(0.12, full_from=0.85, shown=0.9),
    "mouthFrown": Response(0.13, full_from=0.4, shown=0.8),
    "mouthStretch": Response(0.09, full_from=0.7, shown=0.8),
    "mouthPress": Response(0.1, full_from=0.85, shown=0.85),
    "mouthDimple": Response(0.07),
    "mouthRollLower": Response(0.07, full_from=0.9, shown=0.7),
    "mouthRollUpper": Response(0.08, full_from=0.9, shown=0.75),
    "mouthShrugLower": Response(0.042),
    "mouthShrugUpper": Response(0.12, full_from=0.5),
    "mouthUpperUp": Response(0.1, full_from=0.5),
    "mouthLowerDown": Response(0.12, full_from=0.55),
    "mouthLeft": Response(0.06),
    "mouthRight": Response(0.06),
    "jawLeft": Response(0.15, shown=0.9),
    "jawRight": Response(0.15, shown=0.9),
    "jawForward": Response(0.08),
    "noseSneer": Response(0.35, shown=0.35),
    "cheekPuff": Response(0.16),
    "cheekSquint": Response(0.08),
    "tongueOut": Response(0.05),
}
_OTHER: Final = Response(0.07)
# Without scores landmarks are all there is; these are explained by them for the wrong reasons (a pucker as rolled lips).
_DEFAULT_WITHOUT_HINT: Final = 0.25
_WITHOUT_HINT: Final[dict[str, float]] = {
    "eyeLook": 0.5, "mouthClose": 0.03, "mouthFunnel": 0.03, "mouthLeft": 0.06, "mouthRight": 0.06, "mouthRoll": 0.04,
    "mouthUpperUp": 0.05, "mouthLowerDown": 0.05, "browDown": 0.05, "browOuterUp": 0.2, "eyeBlink": 0.12, "eyeWide": 0.15,
    "mouthSmile": 0.12, "mouthPucker": 0.15, "jawLeft": 0.15, "jawRight": 0.15, "jawForward": 0.08, "cheekPuff": 0.1,
    "noseSneer": 0.1, "cheekSquint": 0.08, "tongueOut": 0.05,
}  # fmt: skip
_LEAST_SPAN: Final = 0.35
"""Scores of a face that rests high are not stretched more than this, or their noise would be."""
_SHUT: Final = 0.6
"""How far shut an eye is from which on a glance down is not listened to."""

# Both eyes look at the same thing: they share their pitch and, but for near things and squinters, their yaw.
_EYES_APART_PITCH_RAD: Final = 0.04
_EYES_APART_YAW_RAD: Final = 0.2


def gaze_coupling(joint_drive: Float32) -> NDArray[np.float64]:
    """Information matrix (Ne, Ne) that holds the eyes together, from what expressions turn the joints by, (Ne, J, 3)."""
    apart = (joint_drive[:, EYE_LEFT] - joint_drive[:, EYE_RIGHT]).astype(np.float64)
    rows = apart[:, :2].T / np.array([[_EYES_APART_PITCH_RAD], [_EYES_APART_YAW_RAD]])
    coupling: NDArray[np.float64] = rows.T @ rows
    return coupling


def shown_by_landmarks(names: tuple[str, ...]) -> Float32:
    """(Ne,) how much of each expression the networks' landmarks show, 0..1."""
    return np.array([_response(name).shown for name in names], np.float32)


class ExpressionPrior:
    """Means and standard deviations for a model whose expressions carry ``names``; names ARKit does not know get zero mean."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._arkit = np.array([ARKIT_INDEX.get(name, -1) for name in names], np.intp)
        # Sideways, irises are seen directly and far better than the scores know them.
        aside = np.array([name.startswith(("eyeLookIn", "eyeLookOut")) for name in names])
        self._listens = np.array([name in ARKIT_INDEX and name not in SILENT_SCORES for name in names]) & ~aside
        responses = [_response(name) for name in names]
        self._with_hint = np.array([response.sigma for response in responses], np.float32)
        self._without_hint = np.array([_without_hint(name) for name in names], np.float32)
        self._silent_below = np.array([response.silent_below for response in responses], np.float32)
        self._full_from = np.array([response.full_from for response in responses], np.float32)
        self._least_span = np.minimum(_LEAST_SPAN, self._full_from - self._silent_below)
        self._glances = [
            [k for k, name in enumerate(names) if name.startswith(glance)] for glance in ("eyeLookUp", "eyeLookDown")
        ]
        self._blinks = np.array([ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]])

    def given(self, hint: Float32 | None, levels: Float32 | None = None) -> tuple[Float32, Float32]:
        """Mean and sigma (Ne,) each, for scores (52,) in ARKit order or None. ``levels`` (52,): scores of the relaxed face.

        The scores of blinks are those of ``Lids``: how far each eye is shut.
        """
        mean = np.zeros(self._arkit.shape[0], np.float32)
        if hint is None:
            return mean, self._without_hint
        mean[self._listens] = hint[self._arkit[self._listens]]
        low = self._silent_below
        if levels is not None:
            low = np.maximum(low, levels[self._arkit])
        span = np.maximum(self._full_from - low, self._least_span)
        mean = np.clip((mean - low) / span, 0.0, 1.0) * self._listens
        # A lid that shuts is scored as a glance down, too. And both eyes look up and down together.
        open_share = max(0.0, 1.0 - float(hint[self._blinks].max()) / _SHUT)
        for glance in self._glances:
            if glance:
                mean[glance] = open_share * float(mean[glance].mean())
        return mean, self._with_hint


def _response(name: str) -> Response:
    for stem in (name, name.removesuffix("Left"), name.removesuffix("Right")):
        if stem in RESPONSES:
            return RESPONSES[stem]
    return _OTHER


def _without_hint(name: str) -> float:
    return next((sigma for stem, sigma in _WITHOUT_HINT.items() if name.startswith(stem)), _DEFAULT_WITHOUT_HINT)
