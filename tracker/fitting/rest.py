"""What one person's relaxed face looks like to the networks, beyond what identity explains.

Scores and landmarks carry errors that belong to the person: brows that sit high are scored as raised, narrow eyes as squinting,
and the landmarks lie off the model's by a millimetre or two, always in the same direction. Such an error would be published as
an expression that never ends. Scores are right on the average and landmarks tell the changes, so what persists between the
landmarks and what the scores predict is learned as the person's own, region by region while that region rests, and taken out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.camera import Camera
from tracker.fitting.landmark_choice import BROWS, IRISES, LIDS, LIPS
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import FitState

Float32 = NDArray[np.float32]

_LONGEST_MEMORY: Final = 400.0
"""Frames at rest after which new ones count as much as they leave."""
_ALL_OF_FIRST: Final = 24
_ONE_IN: Final = 4
"""The first frames are all learned from, then one in so many, for all of them."""
_BELIEVED_AFTER: Final = 4.0
"""Frames at rest: until a few have been seen, there is no offset. Then the mean counts whole, or it would creep for minutes."""
_LEVEL_BELIEVED_AFTER: Final = 3.0
_NOISE: Final = 2.2
"""Standard deviations above the mean that a relaxed face's scores may lie, without being taken for an expression."""
_LARGEST_SPREAD: Final = 0.1
_LARGEST_M: Final = 0.006
_ACTIVE_MOUTH: Final = 0.25
_ACTIVE_BROW: Final = 0.15
_LEAST_BROW_REST: Final = 0.03
_ACQUAINTED: Final = 8.0
"""Frames after which a brow's level is known well enough to tell a raise from it."""
_CONVERGED: Final = 0.1
"""Weight of looking inwards in eyes that look at a screen at arm's length: each turns by three degrees."""
_ASIDE: Final = ("eyeLookOutLeft", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutRight")
_VERTICAL: Final = ("eyeLookUp", "eyeLookDown", "eye_left_pitch", "eye_right_pitch")
_SHUTTING: Final = (0.15, 0.15)
"""How far an open eye may be shut, and how much more counts as moving."""

_MOUTH_ACTS: Final = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthFunnel", "mouthLeft", "mouthRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthStretchLeft", "mouthStretchRight", "mouthPucker",
)  # fmt: skip
# Scores with a resting level of each person's own; those of the mouth are learned while it rests.
_BROW_LEVELS: Final = (
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight",
)  # fmt: skip
_EYE_LEVELS: Final = (
    "eyeSquintLeft", "eyeSquintRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeLookDownLeft", "eyeLookDownRight",
)  # fmt: skip
_MOUTH_LEVELS: Final = (
    "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper",
    "mouthFrownLeft", "mouthFrownRight", "mouthPucker", "mouthStretchLeft", "mouthStretchRight",
)  # fmt: skip


class RestingFace:
    """Resting levels of scores and resting offsets of landmarks of one person; cheap enough for every frame."""

    def __init__(self, model: LandmarkModel, set_name: str, names: tuple[str, ...]) -> None:
        self._model = model
        known = set_name == "mediapipe478"

        def points(indices: tuple[int, ...]) -> NDArray[np.intp]:
            return np.flatnonzero(np.isin(model.order, indices)) if known else np.zeros(0, np.intp)

        self._lips, self._lids, self._brows, self._irises = points(LIPS), points(LIDS), points(BROWS), points(IRISES)
        self._vertical = np.array([name.startswith(_VERTICAL) for name in names])
        self._aside = [names.index(name) for name in _ASIDE] if set(_ASIDE) <= set(names) else []
        self._looks = np.array([name.startswith("eyeLook") for name in names])
        self._features = np.concatenate([self._lips, self._lids, self._brows, self._irises])
        self._rigid, self._rigid_inverse = _rigid_motions(model.neutral_points()[self._features])
        self._mouth_acts = np.array([ARKIT_INDEX[name] for name in _MOUTH_ACTS])
        self._mouth_levels = np.array([ARKIT_INDEX[name] for name in _MOUTH_LEVELS])
        self._brow_levels = np.array([ARKIT_INDEX[name] for name in _BROW_LEVELS])
        self._eye_levels = np.array([ARKIT_INDEX[name] for name in _EYE_LEVELS])
        self._blinks = np.array([ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]])
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self.offset: Float32 = np.zeros((3, self._model.count), np.float32)
        """(3, L) metres in head axes: where a relaxed face's landmarks are seen, less where the model has them."""
        self._seen: Float32 = np.zeros(self._model.count, np.float32)
        self._mean_offset: Float32 = np.zeros((3, self._model.count), np.float32)
        self._mean_levels: Float32 = np.zeros(len(ARKIT_NAMES), np.float32)
        self.levels: Float32 = np.zeros(len(ARKIT_NAMES), np.float32)
        """(52,) scores up to which the face is relaxed, in ``ARKIT_NAMES`` order."""
        self._variance: Float32 = np.zeros(len(ARKIT_NAMES), np.float32)
        self._heard: Float32 = np.zeros(len(ARKIT_NAMES), np.float32)
        self._brow_rest = 1.0
        self._frames = 0
        self._stands_for = 1

    def follow(self, moved: Float32) -> None:
        """Identity has moved the model's relaxed points by this, (L, 3) metres in head axes: landmarks are where they were."""
        known = self._features[self._seen[self._features] > 0.0]
        self._mean_offset[:, known] -= moved[known].T
        self._believe()

    def shift_px(self, state: FitState, camera: Camera) -> Float32:
        """(L, 2) by which landmarks of a head in this pose are off."""
        scale = np.float32(camera.focal_px / max(float(state.translation[2]), 1e-3))
        return (scale * (state.rotation[:2].astype(np.float32) @ self.offset)).T

    def hear(self, hint: Float32) -> None:
        """Learn resting levels from a frame's scores (52,), and decide whether it is one to learn from at all."""
        self._frames += 1
        every = 1 if self._frames <= _ALL_OF_FIRST else _ONE_IN
        self._stands_for = 0 if self._frames % every else every
        if not self._stands_for:
            return
        rest = self._mouth_rest(hint)
        self._brow_rest = self._brows_at_rest(hint)
        self._learn_level(hint, self._brow_levels, self._brow_rest)
        self._learn_level(hint, self._eye_levels, _open_eyes(hint[self._blinks]))
        self._learn_level(hint, self._mouth_levels, rest)

    def see(
        self, hint: Float32, state: FitState, expected: Float32, observed: Float32, projected: Float32, camera: Camera
    ) -> None:
        """Learn offsets from a fitted frame, unless it is one that was left out when its scores came.

        ``expected`` (Ne,) are the weights that the scores alone predict, ``observed`` and ``projected`` (L, 2) the landmarks
        as they came and as the fitted model has them, pixels.
        """
        if not self._stands_for:
            return
        reference = np.where(self._looks, state.expression, expected)
        reference[self._vertical] = 0.0
        self._converge(reference)
        away = self._model.evaluate(state.expression) - self._model.evaluate(reference)
        lateral = (observed - projected).T * np.float32(float(state.translation[2]) / camera.focal_px)
        target = away + state.rotation[:2].T.astype(np.float32) @ lateral
        open_eyes = _open_eyes(hint[self._blinks])
        self._learn_offset(self._lips, target, self._mouth_rest(hint))
        self._learn_offset(self._lids, target, open_eyes)
        self._learn_offset(self._brows, target, self._brow_rest)
        # People do look aside for long, so only what parts the eyes is learned sideways.
        sideways = target[0, self._irises]
        target[0, self._irises] = sideways - sideways.mean() if self._aside and sideways.size else 0.0
        target[2, self._irises] = 0.0
        self._learn_offset(self._irises, target, open_eyes)
        self._believe()

    def _converge(self, reference: Float32) -> None:
        """Let the eyes look where both look on average, as far inwards as at a screen."""
        if not self._aside:
            return
        out_left, in_left, in_right, out_right = self._aside
        both = 0.5 * float(reference[out_left] - reference[in_left] + reference[in_right] - reference[out_right])
        left, right = both - _CONVERGED, both + _CONVERGED
        reference[out_left], reference[in_left] = max(left, 0.0), max(-left, 0.0)
        reference[in_right], reference[out_right] = max(right, 0.0), max(-right, 0.0)

    def _mouth_rest(self, hint: Float32) -> float:
        acts = hint[self._mouth_acts] - self._mean_levels[self._mouth_acts]
        return _rest(float(acts.max()) / _ACTIVE_MOUTH)

    def _brows_at_rest(self, hint: Float32) -> float:
        """1 at the level known so far, little above it: a raise is no rest, but one that never ends becomes it."""
        if self._heard[self._brow_levels[0]] < _ACQUAINTED:
            return 1.0
        raised = float((hint[self._brow_levels] - self._mean_levels[self._brow_levels]).max()) / _ACTIVE_BROW
        return max(float(np.exp(-(max(raised, 0.0) ** 2))), _LEAST_BROW_REST)

    def _learn_offset(self, points: NDArray[np.intp], target: Float32, weight: float) -> None:
        weight *= self._stands_for
        if weight < 1e-3 or not points.size:
            return
        self._seen[points] = np.minimum(self._seen[points] + weight, _LONGEST_MEMORY)
        rate = weight / self._seen[points]
        self._mean_offset[:, points] += rate * (target[:, points] - self._mean_offset[:, points])

    def _believe(self) -> None:
        """Offsets that together look like another pose would let the head drift away."""
        if self._features.size:
            belief = 1.0 - np.exp(-self._seen[self._features] / np.float32(_BELIEVED_AFTER))
            offset = np.clip(self._mean_offset[:, self._features], -_LARGEST_M, _LARGEST_M) * belief
            lateral = offset[:2]
            moved = self._rigid @ (self._rigid_inverse @ lateral.reshape(-1))
            offset[:2] = lateral - moved.reshape(2, -1)
            self.offset[:, self._features] = offset

    def _learn_level(self, hint: Float32, scores: NDArray[np.intp], weight: float) -> None:
        weight *= self._stands_for
        if weight < 1e-3:
            return
        self._heard[scores] = np.minimum(self._heard[scores] + weight, _LONGEST_MEMORY)
        rate = weight / self._heard[scores]
        away = hint[scores] - self._mean_levels[scores]
        self._mean_levels[scores] += rate * away
        spread = np.minimum(away * away * (1.0 - rate), _LARGEST_SPREAD**2)
        self._variance[scores] += rate * (spread - self._variance[scores])
        belief = 1.0 - np.exp(-self._heard[scores] / np.float32(_LEVEL_BELIEVED_AFTER))
        self.levels[scores] = belief * (self._mean_levels[scores] + _NOISE * np.sqrt(self._variance[scores]))


def _open_eyes(blinks: Float32) -> float:
    """1 while both eyes are open, 0 when one shuts."""
    return _rest((float(blinks.max()) - _SHUTTING[0]) / _SHUTTING[1])


def _rest(activity: float) -> float:
    """How much a frame counts in which a region is active by this."""
    return float(np.exp(-(max(activity, 0.0) ** 2)))


def _rigid_motions(points: Float32) -> tuple[Float32, Float32]:
    """(2 L, 6) what small motions of the head do to x and y of points (L, 3) seen from the front, and its pseudo-inverse."""
    x, y, z = (points - points.mean(axis=0)).T if len(points) else np.zeros((3, 0))
    none, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([one, none, -y, z, none, x], axis=1)
    along_y = np.stack([none, one, x, none, z, y], axis=1)
    motions = np.concatenate([along_x, along_y])
    return motions.astype(np.float32), np.linalg.pinv(motions).astype(np.float32)
