"""Renders of the FLAME-structured head, whose jaw, eyes, lids and coefficients are known: what a fit finds of them.

The people do what the other synthetic ones do (``sequences``), in FLAME's coefficients by way of the ARKit map, so that a fit of
the built-in head can be laid beside in ARKit's words.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import metrics, sequences
from tools.evaluation.subjects import SIZE
from tools.evaluation.tracking import Encoded, Follower, fit
from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.face_model.arkit_map import ArkitReader, default_noise, round_trip
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import Complexion
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.types import Face, FaceParams

Float32 = NDArray[np.float32]

_FPS: Final = 30.0
_OWN_SPREAD: Final = 0.2
"""Standard deviation of what every coefficient does beside ARKit's expressions."""
_MOVING_M: Final = 5e-4
_MESHES: Final = 60
_ANGLES: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "jaw_pitch": ("jaw", (0,)), "jaw_yaw": ("jaw", (1,)), "eye_yaw": ("eyes", (1, 4)), "eye_pitch": ("eyes", (0, 3)),
}  # fmt: skip


def evaluate(
    model: FaceModel, others: dict[str, FaceModel], follower: Follower, *, people: int, every: int
) -> dict[str, Any]:
    """Figures of ``model`` on renders of itself, and of ``others`` on the same pictures in ARKit's words."""
    arkit: list[Float32] = []
    truth: list[FaceParams] = []
    relaxed: list[Float32] = []
    fitted: dict[str, list[Face | None]] = {name: [] for name in ("itself", *others)}
    for seed in range(people):
        weights, params, identity, encoded, camera = _person(model, follower, seed, every)
        arkit.extend(weights)
        truth.extend(params)
        relaxed.extend([identity] * len(params))
        for name, tracking in {"itself": model, **others}.items():
            fitted[name].extend(fit(tracking, follower.set_name, encoded, focal_px=camera.focal_px))
    result: dict[str, Any] = {"people": people, "frames": len(truth), "map": _map_figures(model)}
    result["shape"] = _shape(model, truth, fitted["itself"], relaxed)
    wanted = np.stack(arkit).astype(np.float64)
    for name, faces in fitted.items():
        result[name] = {
            **_joints(truth, faces),
            "arkit": _words(np.stack([_scores(face) for face in faces]).astype(np.float64), wanted),
        }
    return result


def _person(
    model: FaceModel, follower: Follower, seed: int, every: int
) -> tuple[Float32, list[FaceParams], Float32, list[Encoded], Camera]:
    assert model.arkit_map is not None
    rng = np.random.default_rng(seed + 300)
    identity = (rng.standard_normal(model.identity_count) * 0.8).astype(np.float32)
    arkit = sequences.expressions(seed + 300)[::every]
    rotations, translations = (part[::every] for part in sequences.poses(seed + 300))
    camera = Camera.for_image(*SIZE)
    scene = FaceScene(model, Complexion(melanin=float(rng.uniform(0.05, 0.6)), seed=seed), supersample=1, noise=2.0)
    own = np.zeros(model.expression_count)
    count = len(model.published_names)
    params, images = [], []
    for frame in range(len(arkit)):
        # Slow wandering: a face does more than ARKit has words for.
        own[:count] = 0.97 * own[:count] + np.sqrt(1 - 0.97**2) * _OWN_SPREAD * rng.standard_normal(count)
        weights = np.clip(model.arkit_map @ arkit[frame] + own, *model.expression_bounds.T)
        params.append(
            model.params_of(weights.astype(np.float32), head_rotvec_from_matrix(rotations[frame]), translations[frame])
        )
        images.append(scene.render(identity, params[-1], camera, frame))
    return arkit, params, identity, follower.encode_images(images, _FPS / every), camera


def _joints(truth: list[FaceParams], found: list[Face | None]) -> dict[str, dict[str, float]]:
    """Per angle, degrees: mean absolute error, what it would be with the angle at rest, mean error, and correlation."""
    pairs = [(t, f.params) for t, f in zip(truth, found, strict=True) if f is not None]
    figures = {}
    for name, (part, axes) in _ANGLES.items():
        real = np.degrees([[getattr(t, part)[axis] for axis in axes] for t, _ in pairs]).ravel()
        seen = np.degrees([[getattr(f, part)[axis] for axis in axes] for _, f in pairs]).ravel()
        figures[name] = {
            "error": round(float(np.abs(seen - real).mean()), 2),
            "at_rest": round(float(np.abs(real).mean()), 2),
            "bias": round(float((seen - real).mean()), 2),
            "correlation": round(float(np.corrcoef(seen, real)[0, 1]), 3),
        }
    return figures


def _shape(
    model: FaceModel, truth: list[FaceParams], found: list[Face | None], identities: list[Float32]
) -> dict[str, float]:
    """Pose, lids, and how far the vertices that an expression moves come out from where it takes them."""
    pairs = [(t, f, b) for t, f, b in zip(truth, found, identities, strict=True) if f is not None]
    rotation = [
        metrics.angle_deg(matrix_from_rotvec(f.params.rotation) @ matrix_from_rotvec(t.rotation).T) for t, f, _ in pairs
    ]
    error, motion = [], []
    for t, f, identity in pairs[:: max(1, len(pairs) // _MESHES)]:
        moved = model.vertices_head(identity, t) - model.neutral_vertices(identity)
        fitted = model.vertices_head(f.identity, f.params) - model.neutral_vertices(f.identity)
        rows = np.linalg.norm(moved, axis=1) > _MOVING_M
        if rows.any():
            error.append(np.linalg.norm(fitted - moved, axis=1)[rows].mean())
            motion.append(np.linalg.norm(moved, axis=1)[rows].mean())
    shut = np.array([[t.eyelids, f.params.eyelids] for t, f, _ in pairs])
    return {
        "rotation_deg": round(float(np.mean(rotation)), 2),
        "lid_error": round(float(np.abs(shut[:, 0] - shut[:, 1]).mean()), 3),
        "lid_correlation": round(float(np.corrcoef(shut[:, 0].ravel(), shut[:, 1].ravel())[0, 1]), 3),
        "expression_motion_error_mm": round(float(np.mean(error)) * 1e3, 2),
        "expression_motion_mm": round(float(np.mean(motion)) * 1e3, 2),
    }


def _words(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> dict[str, Any]:
    keep = np.isfinite(found).all(axis=1)
    figures = {
        name: metrics.weight_score(found[keep, index], wanted[keep, index])
        for index, name in enumerate(ARKIT_NAMES)
        if wanted[:, index].max() > metrics.ACTIVE
    }
    correlation = [0.0 if np.isnan(s.correlation) else s.correlation for s in figures.values()]
    precision = [0.0 if np.isnan(s.precision) else s.precision for s in figures.values()]
    return {
        "correlation": round(float(np.mean(correlation)), 3),
        "precision": round(float(np.mean(precision)), 3),
        "mean_absolute_error": round(float(np.abs(found[keep] - wanted[keep]).mean()), 3),
        "expressions": {name: round(float(s.correlation), 3) for name, s in figures.items()},
    }


def _map_figures(model: FaceModel) -> dict[str, float]:
    assert model.arkit_map is not None and model.arkit_explained is not None
    reader = ArkitReader(model.arkit_map, np.full(len(ARKIT_NAMES), 0.3), default_noise(model))
    trip = round_trip(model, reader)
    known = np.abs(model.arkit_map).max(axis=0) > 0.0
    return {
        "expressions": int(known.sum()),
        "explained_least": round(float(model.arkit_explained[known].min()), 3),
        "explained_median": round(float(np.median(model.arkit_explained[known])), 3),
        "there_and_back_correlation_least": round(float(np.nanmin(trip.correlation)), 3),
        "there_and_back_rmse": round(float(trip.rmse[known].mean()), 3),
    }


def _scores(face: Face | None) -> Float32:
    return np.full(len(ARKIT_NAMES), np.nan, np.float32) if face is None else face.arkit
