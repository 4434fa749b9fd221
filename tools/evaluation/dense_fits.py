"""What a head fitted to dense landmarks is worth: errors in space, by how many landmarks are fitted (Simic 2022, table 4.6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.face_model import FaceModel
from trainer.data.batch import Batch
from trainer.methods.dense_landmarks.fitting import PictureFitter
from trainer.methods.dense_landmarks.points import rows_of
from trainer.metrics.vertices import face_vertices, head_vertices, moved_together, mve

_PX = 256


@dataclass(frozen=True)
class FitError:
    """Means over pictures."""

    landmarks: int
    face_mm: float
    """MVE (4.2) of the face's vertices in the camera's axes, centres put together: one view does not tell distance."""
    head_mm: float
    """The same of the whole head, moved with the face."""
    mrle_px: float
    """MRLE (4.3), pixels of a 256-pixel crop."""
    ms: float
    """Of one fit, median."""


def fit_errors(
    model: FaceModel,
    landmark_sets: list[str],
    batch: Batch,
    points: NDArray[np.float32],
    sigma: NDArray[np.float32],
    rows: NDArray[np.int64] | None = None,
) -> list[FitError]:
    """Fit subsets of dense landmarks and compare the heads with the true ones.

    Args:
        model: with dense sets.
        landmark_sets: to fit, each.
        batch: true rotation, identity, expression and focal length.
        points: (B, L, 2) landmarks to fit as fractions of the crop's side.
        sigma: (B, L) their standard deviation, likewise.
        rows: which of the 1609 they are; all without it.
    """
    face, head = face_vertices(model), head_vertices(model)
    truth = np.stack([_vertices(model, batch, index) for index in range(len(batch))])
    results = []
    for name in landmark_sets:
        chosen = rows_of(name)
        if rows is not None:
            chosen = np.searchsorted(rows, chosen)
        fitter = PictureFitter(model, name)
        vertices, reprojected, times = [], [], []
        for index in range(len(batch)):
            camera = Camera.for_image(_PX, _PX, float(batch.focal[index]) * _PX)
            seen = points[index, chosen] * _PX
            fitted = fitter.fit(seen, np.maximum(sigma[index, chosen] * _PX, 0.1), camera)
            params = model.params_of(fitted.expression, np.zeros(3, np.float32), fitted.translation)
            turned = model.vertices_head(fitted.identity, params) @ fitted.rotation.T
            vertices.append(turned)
            reprojected.append(float(np.linalg.norm(fitted.projected - seen, axis=1).mean()))
            times.append(fitted.seconds)
        together = moved_together(np.stack(vertices), truth, face)
        results.append(
            FitError(
                len(chosen),
                mve(together, truth, face) * 1e3,
                mve(together, truth, head) * 1e3,
                float(np.mean(reprojected)),
                float(np.median(times)) * 1e3,
            )
        )
    return results


def _vertices(model: FaceModel, batch: Batch, index: int) -> NDArray[np.float64]:
    params = model.params_of(batch.expression[index].numpy(), np.zeros(3, np.float32), np.zeros(3, np.float32))
    turned: NDArray[np.float64] = (
        model.vertices_head(batch.identity[index].numpy(), params) @ batch.rotation[index].numpy().T
    )
    return turned
