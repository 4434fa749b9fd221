"""A face model fitted to dense landmarks of one picture (Simic 2022, section 3.4), with the tracker's own solver."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.expression_prior import ExpressionPrior
from tracker.fitting.landmark_model import LandmarkModel
from tracker.fitting.residuals import FitState, IdentityPrior, Target
from tracker.fitting.solver import Solver

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

ITERATIONS: Final = 20
"""Of each stage (section 4.5)."""
_INDEPENDENT: Final = 200.0
"""Landmarks of one picture err together: however many there are, they count as this many."""
_IDENTITY_WEIGHT: Final = 15.0


@dataclass(frozen=True, slots=True)
class FittedHead:
    """The model as it fits one picture."""

    rotation: Float64
    """(3, 3) head axes to camera axes."""
    translation: Float64
    """(3,) metres."""
    expression: Float32
    """(Ne,)."""
    identity: Float32
    """(Ni,)."""
    projected: Float32
    """(L, 2) the set's landmarks, pixels."""
    seconds: float


class PictureFitter:
    """Fits single pictures: rigid first (3.41), then everything (3.42), with L2 priors on identity and expression.

    Args:
        model: with an embedding of the set (``with_dense_sets``).
        landmark_set: of the landmarks to fit.
    """

    def __init__(self, model: FaceModel, landmark_set: str) -> None:
        self._points = LandmarkModel(model, landmark_set)
        self._solver = Solver(self._points, model.expression_bounds)
        self._mean, self._sigma = ExpressionPrior(model.expression_names).given(None)
        count = model.expression_count
        self._coupling = np.zeros((count, count))
        self._prior = IdentityPrior(
            np.eye(model.identity_count) * _IDENTITY_WEIGHT, np.zeros(model.identity_count, np.float64)
        )
        self._rest = np.zeros(model.identity_count, np.float32)

    def fit(self, points: Float32, sigma: Float32, camera: Camera) -> FittedHead:
        """Fit one picture, from nothing.

        Args:
            points: (L, 2) pixels.
            sigma: (L,) their standard deviation, pixels.
            camera: of the picture.
        """
        began = time.perf_counter()
        order = self._points.order
        self._points.set_identity(self._rest)
        seen = points[order].astype(np.float32)
        precision = np.minimum(_INDEPENDENT / len(order), 1.0) / sigma[order].astype(np.float32) ** 2
        target = Target(seen, precision.astype(np.float32), self._mean, self._sigma, self._coupling)
        rotation, translation = frontal_start(camera, seen, self._points.neutral_points(), precision)
        start = FitState(rotation, translation, np.zeros(self._points.expression_count, np.float32))
        rigid = self._solver.solve(camera, target, start, iterations=ITERATIONS, expression=False)
        whole = self._solver.solve(
            camera, target, rigid.state, iterations=ITERATIONS, identity_prior=self._prior, tolerance=1e-4
        )
        projected = np.empty_like(seen)
        projected[order] = whole.projected
        return FittedHead(
            whole.state.rotation,
            whole.state.translation,
            whole.state.expression,
            whole.identity,
            projected,
            time.perf_counter() - began,
        )


def frontal_start(
    camera: Camera, seen: NDArray[np.floating], places: NDArray[np.floating], weight: NDArray[np.floating]
) -> tuple[Float64, Float64]:
    """A pose from the affine camera that fits best, its rows made a rotation.

    Args:
        camera: of the picture.
        seen: (L, 2) pixels.
        places: (L, 3) the relaxed face in head axes, metres.
        weight: (L,).

    Returns:
        Rotation (3, 3), head axes to camera axes, and translation (3,) in metres.
    """
    share = np.asarray(weight, np.float64) / np.sum(weight)
    middle_2d, middle_3d = share @ seen, share @ places
    across = (places - middle_3d) * np.sqrt(share)[:, None]
    down = (seen - middle_2d) * np.sqrt(share)[:, None]
    # Faces are flat: without a little ridge, depth is made of noise.
    square = across.T @ across
    affine = np.linalg.solve(square + 1e-3 * np.trace(square) * np.eye(3), across.T @ down).T
    u, stretch, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    depth = camera.focal_px / max(float(stretch.mean()), 1e-6)
    centre = np.append((middle_2d - [camera.cx, camera.cy]) * depth / camera.focal_px, depth)
    return rotation, centre - rotation @ middle_3d
