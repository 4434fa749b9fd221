"""(a) Rendered people of known pose, expression and identity.

Rotation errors of ICT heads and of MediaPipe leave out the constant difference between head axes. Position errors are given
as they are and with the size-distance ambiguity of one view taken out (one scale per person). Identity is the distance of the
relaxed surface to the true one after the best similarity, beside that of the mean face.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict, metrics
from tools.evaluation.subjects import Subject, subjects
from tools.evaluation.tracking import Follower, fit
from tools.peers.client import SubjectProcess
from tracker.arkit import ARKIT_NAMES
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face

Float32 = NDArray[np.float32]
Kind = Literal["builtin", "ict"]

FPS: Final = 30.0
# Regions of the built-in head that make a face; ears, neck and scalp are not seen by the landmarks.
_NOT_FACE: Final = ("ear_left", "ear_right", "neck", "scalp")


@dataclass(slots=True)
class Track:
    """What one tracker said about one person: NaN where it saw no face."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(slots=True)
class Collected:
    """All people of a kind."""

    people: list[Subject] = field(default_factory=list)
    raw: list[Track] = field(default_factory=list)
    smooth: list[Track] = field(default_factory=list)
    hint: list[Track] = field(default_factory=list)
    peer: list[Track] = field(default_factory=list)
    shape_mm: list[float] = field(default_factory=list)
    mean_face_mm: list[float] = field(default_factory=list)


def evaluate(
    model: FaceModel, follower: Follower, peer: SubjectProcess | None, *, kinds: Sequence[Kind], people: int, every: int,
    fit_config: FitConfig | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Figures per kind of person. ``peer`` is a running FaceLandmarker, or None."""
    return {kind: summarise(collect(model, follower, peer, kind, people, every, fit_config), kind) for kind in kinds}


def collect(
    model: FaceModel, follower: Follower, peer: SubjectProcess | None, kind: Kind, people: int, every: int,
    fit_config: FitConfig | None = None,
) -> Collected:  # fmt: skip
    """Render, track, compare shapes."""
    result = Collected()
    for subject in subjects(kind, model, people, every):
        encoded = follower.encode_images(subject.images, FPS / every)
        faces = fit(model, follower.set_name, encoded, fit_config=fit_config, focal_px=subject.camera.focal_px)
        result.people.append(subject)
        result.raw.append(_track(faces, raw=True))
        result.smooth.append(_track(faces, raw=False))
        hints = [seen.observations[0].arkit_hint if seen.observations else None for seen in encoded]
        nothing = np.full(len(ARKIT_NAMES), np.nan)
        result.hint.append(
            Track(
                result.raw[-1].rotation,
                result.raw[-1].translation,
                np.array([nothing if h is None else h for h in hints]),
            )
        )
        if peer is not None:
            result.peer.append(_peer_track(peer, subject.images, FPS / every))
        last = next((face for face in reversed(faces) if face is not None), None)
        if last is not None:
            errors = shape_errors_mm(model, subject, last.identity)
            result.shape_mm.append(errors)
            result.mean_face_mm.append(shape_errors_mm(model, subject, np.zeros_like(last.identity)))
    return result


def summarise(collected: Collected, kind: Kind) -> dict[str, Any]:
    """Plain figures."""
    true_weights = np.concatenate([person.expression for person in collected.people])
    result: dict[str, Any] = {
        "people": len(collected.people),
        "frames": len(true_weights),
        "identity_mm": _mean(collected.shape_mm),
        "identity_mean_face_mm": _mean(collected.mean_face_mm),
    }
    for name, tracks in (
        ("raw", collected.raw), ("smooth", collected.smooth), ("hint", collected.hint), ("mediapipe", collected.peer),
    ):  # fmt: skip
        # The light encoder gives no scores of its own.
        if not any(np.isfinite(track.scores).any() for track in tracks):
            continue
        figures = _weights(np.concatenate([track.scores for track in tracks]), true_weights)
        if name != "hint":
            figures = {**_pose(tracks, collected.people, remove_offset=kind == "ict" or name == "mediapipe"), **figures}
        result[name] = figures
    return result


def shape_errors_mm(model: FaceModel, subject: Subject, identity: Float32) -> float:
    """Mean distance in mm between the relaxed face of ``identity`` and the subject's, over the face area."""
    area = face_area(model)
    found = model.neutral_vertices(identity)
    if subject.kind == "builtin":
        true = model.neutral_vertices(subject.identity)[area]
        return float(np.linalg.norm(metrics.aligned(found[area], true) - true, axis=1).mean() * 1e3)
    heads = ict.load()
    surface = heads.relaxed(subject.identity)
    normals = NormalField(heads.faces, len(surface))(surface)
    # Inner landmarks give the first alignment; their definition differs a little between the models.
    start = metrics.similarity(model.landmarks(found, "ibug68")[17:], surface[heads.landmarks68[17:]])
    face = slice(ict.FACE_VERTICES)
    return float(metrics.surface_errors(found[area], surface[face], normals[face], start).mean() * 1e3)


def face_area(model: FaceModel) -> NDArray[np.intp]:
    """Skin vertices of the face without ears, neck and scalp."""
    outside = np.zeros(model.vertex_count, bool)
    for name in _NOT_FACE:
        if name in model.region_names:
            outside |= model.regions[:, model.region_names.index(name)]
    skin = model.parts == model.part_names.index("skin")
    return np.flatnonzero(skin & ~outside & model.regions.any(axis=1))


def _track(faces: Sequence[Face | None], *, raw: bool) -> Track:
    rotation = np.full((len(faces), 3, 3), np.nan)
    translation = np.full((len(faces), 3), np.nan)
    scores = np.full((len(faces), len(ARKIT_NAMES)), np.nan)
    for index, face in enumerate(faces):
        if face is None:
            continue
        params = face.raw if raw else face.params
        rotation[index] = matrix_from_rotvec(params.rotation)
        translation[index] = params.translation
        weights = face.arkit_raw if raw else face.arkit
        if weights is not None:
            scores[index] = weights
    return Track(rotation, translation, scores)


def _peer_track(peer: SubjectProcess, images: NDArray[np.uint8], fps: float) -> Track:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, images)
        seen = peer.see(0, peer.load(path, fps))
    return Track(*(seen[name].astype(np.float64) for name in ("rotation", "translation", "scores")))


def _pose(tracks: Sequence[Track], people: Sequence[Subject], *, remove_offset: bool) -> dict[str, Any]:
    angles, distances, scaled, lost = [], [], [], 0
    kept = [np.isfinite(track.translation[:, 0]) for track in tracks]
    found = np.concatenate([track.rotation[keep] for track, keep in zip(tracks, kept, strict=True)])
    true = np.concatenate([person.rotation[keep] for person, keep in zip(people, kept, strict=True)])
    angles = metrics.rotation_errors_deg(found, true, remove_offset=remove_offset)
    for track, person, keep in zip(tracks, people, kept, strict=True):
        lost += int((~keep).sum())
        seen, real = track.translation[keep], person.translation[keep].astype(np.float64)
        if remove_offset:
            seen = seen + _origin_offset(seen, real, person.rotation[keep])
        scale = float((seen * real).sum() / (seen**2).sum())
        distances.append(np.linalg.norm(seen - real, axis=1))
        scaled.append(np.linalg.norm(scale * seen - real, axis=1))
    return {
        "frames_lost": lost,
        "rotation_deg": round(float(np.mean(angles)), 3),
        "rotation_offset_deg": round(
            float(metrics.angle_deg(metrics.mean_rotation(np.swapaxes(found, 1, 2) @ true))), 3
        ),
        "rotation_free_of_offset_deg": round(
            float(metrics.rotation_errors_deg(found, true, remove_offset=True).mean()), 3
        ),
        "rotation_p95_deg": round(float(np.percentile(angles, 95)), 3),
        "position_mm": round(float(np.concatenate(distances).mean() * 1e3), 2),
        "position_scaled_mm": round(float(np.concatenate(scaled).mean() * 1e3), 2),
    }


def _origin_offset(
    seen: NDArray[np.float64], real: NDArray[np.float64], rotation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Constant offset in head axes between two definitions of the head's origin, in camera axes per frame (N, 3)."""
    in_head = np.einsum("nji,nj->ni", rotation, real - seen)
    # Depth apart, which the ambiguity of size spoils: what is left is what the turning head reveals.
    offset = np.array([*np.median(in_head[:, :2], axis=0), 0.0])
    return np.einsum("nij,j->ni", rotation, offset)


def _weights(found: NDArray[np.float64], true: Float32) -> dict[str, Any]:
    keep = np.isfinite(found).all(axis=1)
    found, real = found[keep], true[keep].astype(np.float64)
    scores = {
        name: metrics.weight_score(found[:, index], real[:, index])
        for index, name in enumerate(ARKIT_NAMES)
        if real[:, index].max() > metrics.ACTIVE
    }
    correlations = np.array([0.0 if np.isnan(s.correlation) else s.correlation for s in scores.values()])
    precisions = np.array([0.0 if np.isnan(s.precision) else s.precision for s in scores.values()])
    return {
        "correlation": round(float(correlations.mean()), 4),
        "correlation_median": round(float(np.median(correlations)), 4),
        "precision": round(float(precisions.mean()), 4),
        "mean_absolute_error": round(float(np.abs(found - real).mean()), 4),
        "expressions": {
            name: {"correlation": _number(s.correlation), "precision": _number(s.precision), "gain": _number(s.gain)}
            for name, s in scores.items()
        },
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 3) if values else None
