"""What the weights of a model with expressions of its own (FLAME's) are expected to be, and what they mean in ARKit's words.

The population prior N(0, 1) of such coefficients knows no semantics: it explains a smile by whatever combination fits. So the
scores go through the model's ARKit map: with ARKit weights s ~ N(scores, S) as for the built-in head and e = A s + n, the
model's weights have mean A scores and covariance A S A' + N. After the fit the same two Gaussians give the ARKit weights back.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.face_model.arkit_map import ArkitReader, default_noise
from tracker.face_model.model import FaceModel
from tracker.fitting.expression_prior import ExpressionPrior

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_POPULATION_SIGMA: Final = 1.0
"""Of coefficients scaled to N(0, 1), in models that nothing is known of but that."""


class MappedPrior:
    """The prior of all weights (Ne,) of one model. Without an ARKit map: the population's."""

    def __init__(self, model: FaceModel) -> None:
        self._scores = ExpressionPrior(ARKIT_NAMES)
        if model.arkit_map is None:
            forward = np.zeros((model.expression_count, len(ARKIT_NAMES)), np.float32)
            noise = default_noise(model, _POPULATION_SIGMA)
        else:
            forward, noise = model.arkit_map, default_noise(model)
        _, with_hint = self._scores.given(np.zeros(len(ARKIT_NAMES), np.float32))
        _, without_hint = self._scores.given(None)
        self._readers = {True: ArkitReader(forward, with_hint, noise), False: ArkitReader(forward, without_hint, noise)}
        self._information: dict[bool, Float64] = {
            known: np.asarray(np.linalg.inv(reader.covariance), np.float64) for known, reader in self._readers.items()
        }
        self.l1_per_arkit_weight = float(np.abs(forward).sum(axis=0).mean()) or 1.0
        """How much the weights move, summed, when an ARKit weight moves by one."""

    def given(self, hint: Float32 | None, levels: Float32 | None = None) -> tuple[Float32, Float64]:
        """Mean (Ne,) and information (Ne, Ne), for scores (52,) in ARKit order or None. ``levels`` (52,): those at rest."""
        known = hint is not None
        mean, _ = self._scores.given(hint, levels)
        return self._readers[known].mean_weights(mean).astype(np.float32), self._information[known]

    def arkit(self, weights: Float32, hint: Float32 | None, levels: Float32 | None = None) -> Float32:
        """ARKit weights (52,) in 0..1 of a fitted face; the scores' own where the model has no counterpart."""
        mean, _ = self._scores.given(hint, levels)
        return self._readers[hint is not None](weights, mean)


def has_own_expressions(model: FaceModel) -> bool:
    """Whether a model's expressions are not ARKit's."""
    return model.arkit_map is not None or not set(model.expression_names) & set(ARKIT_NAMES)
