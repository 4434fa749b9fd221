"""Each face model as the tracker's own: is what it fits true in three dimensions, and what does it cost?

Cross-model: people of one model, in real skin, are tracked with the others. Their relaxed faces, and that of a scanned man, are
laid against what was fitted and against the tracking model's mean face, which knows nothing about the person.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from tools.evaluation import fit_timing, ict, metrics, scan, shapes
from tools.evaluation.clips import SHARED, frames_of
from tools.evaluation.scan_picture import heat_picture
from tools.evaluation.subjects import Subject, textured_subject
from tools.evaluation.tracking import Encoded, Follower, fit
from tracker.arkit import ARKIT_NAMES
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.samples import sample
from tracker.types import Face

Float32 = NDArray[np.float32]

_FPS: Final = 30.0
_FOCUS: Final = (
    "eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "browInnerUp",
    "browDownLeft", "browDownRight", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeLookDownLeft",
)  # fmt: skip
_DRIFT_SHARED: Final = ("talk_d3.mp4", "talk_d9.mp4", "webcam_cap13.mp4", "grid_bbaf2n.mpg")


@dataclass(frozen=True, slots=True)
class Material:
    """What all models are shown: encoded once, fitted by each."""

    people: list[tuple[Subject, list[Encoded]]]
    scan: tuple[list[Encoded], float] | None
    clips: dict[str, list[Encoded]]


def prepare(follower: Follower, *, quick: bool) -> Material:
    """Render and encode."""
    wanted: list[tuple[Literal["builtin", "ict"], int]] = [("builtin", seed) for seed in range(1 if quick else 3)]
    if ict.available():
        wanted += [("ict", seed) for seed in range(2 if quick else 5)]
    else:
        _skipped("people of ICT-FaceKit: the development data is not beside the checkout")
    clips = [sample("single_face.mp4")] + ([] if quick else [sample("WolfgangLanger_Pexels.mp4")])
    clips += [] if quick else [path for path in (SHARED / "clips" / name for name in _DRIFT_SHARED) if path.is_file()]
    every = 3 if quick else 2
    people, encoded, scanned = [], {}, None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rendering and encoding", total=len(wanted) + len(clips) + 1)
        for kind, seed in wanted:
            subject = textured_subject(kind, seed, every, follower)
            people.append((subject, follower.encode_images(subject.images, _FPS / every)))
            progress.advance(task)
        for clip in clips:
            encoded[clip.name] = follower.encode(frames_of(clip, 150 if quick else 240))
            progress.advance(task)
        if scan.available():
            images, camera = scan.pictures()
            scanned = (follower.encode_images(images), camera.focal_px)
        else:
            _skipped("the scan: the development data is not beside the checkout")
        progress.advance(task)
    return Material(people, scanned, encoded)


def evaluate(
    models: dict[str, FaceModel], set_name: str, material: Material, picture: Path | None = None,
    fit_config: FitConfig | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Figures per model; ``picture`` is where the scan's heat map goes."""
    result: dict[str, Any] = {}
    heat: dict[str, tuple[Float32, Float32]] = {}
    for name, model in models.items():
        fits = [
            fit(model, set_name, encoded, fit_config=fit_config, focal_px=subject.camera.focal_px)
            for subject, encoded in material.people
        ]
        figures: dict[str, Any] = {"cross_model": _cross(name, model, material, fits)}
        if material.scan is not None:
            figures["scan"], heat[name] = _scan(model, set_name, material.scan, fit_config)
        figures["expressions_on_ict"] = _expressions(material, fits)
        figures["drift"] = drift(model, set_name, material.clips, fit_config)
        result[name] = figures
    clip = max(material.clips.values(), key=len)
    for name, figures in fit_timing.measure(models, set_name, clip, fit_config).items():
        result[name]["fit_ms"] = figures
    if picture is not None and heat:
        cv2.imwrite(str(picture), cv2.cvtColor(heat_picture(heat), cv2.COLOR_RGB2BGR))
    return result


def _cross(name: str, model: FaceModel, material: Material, fits: Sequence[Sequence[Face | None]]) -> dict[str, Any]:
    """Per kind of people: mean over people of surface and landmark errors, fitted and mean face, and who gained."""
    rows: dict[str, list[tuple[shapes.ShapeError, shapes.ShapeError]]] = {}
    mean_face = shapes.FittedSurface(model, np.zeros(model.identity_count, np.float32))
    for (subject, _), faces in zip(material.people, fits, strict=True):
        if subject.kind == name:
            continue
        last = next((face for face in reversed(faces) if face is not None), None)
        if last is None:
            continue
        true = (shapes.builtin_truth if subject.kind == "builtin" else shapes.ict_person)(subject.identity)
        rows.setdefault(subject.kind, []).append(
            (shapes.FittedSurface(model, last.identity).error(true), mean_face.error(true))
        )
    return {
        kind: {
            "people": len(errors),
            "surface_mm": _mean([fitted.surface.mean() for fitted, _ in errors]),
            "mean_face_surface_mm": _mean([mean.surface.mean() for _, mean in errors]),
            "landmarks_mm": _mean([fitted.landmarks for fitted, _ in errors]),
            "mean_face_landmarks_mm": _mean([mean.landmarks for _, mean in errors]),
            "people_nearer_than_mean_face": sum(bool(f.surface.mean() < m.surface.mean()) for f, m in errors),
        }
        for kind, errors in rows.items()
    }


def _scan(
    model: FaceModel, set_name: str, seen: tuple[list[Encoded], float], fit_config: FitConfig | None
) -> tuple[dict[str, Any], tuple[Float32, Float32]]:
    encoded, focal_px = seen
    faces = fit(model, set_name, encoded, fit_config=fit_config, focal_px=focal_px)
    last = next(face for face in reversed(faces) if face is not None)
    true = shapes.scanned()
    surfaces = {
        "": shapes.FittedSurface(model, last.identity),
        "_mean_face": shapes.FittedSurface(model, np.zeros_like(last.identity)),
    }
    figures: dict[str, Any] = {
        "views": len(scan.VIEWS_DEG),
        "frames_with_a_face": f"{sum(face is not None for face in faces)} of {len(faces)}",
    }
    heat = []
    for which, surface in surfaces.items():
        similar, rigid = surface.error(true), surface.error(true, metric=True)
        figures[f"similarity{which}"] = _distances(similar)
        figures[f"metric{which}"] = _distances(rigid) | {"true_over_fitted_size": _round(similar.scale)}
        heat.append(similar.surface.astype(np.float32))
    return figures, (heat[0], heat[1])


def _distances(error: shapes.ShapeError) -> dict[str, float]:
    return {
        "mean_mm": _round(error.surface.mean()),
        "median_mm": _round(float(np.median(error.surface))),
        "p95_mm": _round(float(np.percentile(error.surface, 95))),
        "landmarks_mm": _round(error.landmarks),
    }


def _expressions(material: Material, fits: Sequence[Sequence[Face | None]]) -> dict[str, Any] | None:
    """Correlation per expression over all ICT people, tracker's weights unsmoothed."""
    found, true = [], []
    for (subject, _), faces in zip(material.people, fits, strict=True):
        if subject.kind != "ict":
            continue
        for face, weights in zip(faces, subject.expression, strict=True):
            if face is not None and face.arkit_raw is not None:
                found.append(face.arkit_raw)
                true.append(weights)
    if not found:
        return None
    seen, real = np.array(found, np.float64), np.array(true, np.float64)
    scores = {
        name: metrics.weight_score(seen[:, k], real[:, k])
        for k, name in enumerate(ARKIT_NAMES)
        if real[:, k].max() > metrics.ACTIVE
    }
    values = {name: 0.0 if np.isnan(score.correlation) else score.correlation for name, score in scores.items()}
    precision = {name: 0.0 if np.isnan(score.precision) else score.precision for name, score in scores.items()}
    return {
        "correlation": _mean(list(values.values())),
        "precision": _mean(list(precision.values())),
        "correlation_of": {name: _round(values[name]) for name in _FOCUS if name in values},
        "expressions": {name: _round(value) for name, value in values.items()},
    }


def drift(
    model: FaceModel, set_name: str, clips: dict[str, list[Encoded]], fit_config: FitConfig | None = None
) -> dict[str, Any]:
    """How far the relaxed face moves, mm after the best similarity, on clips of one person each.

    From the first frozen estimate to the last one, from the one after one second to the last, and between the halves of a clip
    that were fitted apart.
    """
    area = _area(model)
    frozen_mm, second_mm, halves_mm, frozen_after_s, not_frozen = [], [], [], [], 0
    for encoded in clips.values():
        faces = fit(model, set_name, encoded, fit_config=fit_config)
        seen = [(face, e.t_capture_ns * 1e-9) for face, e in zip(faces, encoded, strict=True) if face is not None]
        if len(seen) < 60:
            continue
        last, start_s = seen[-1][0], seen[0][1]
        second = next(face for face, t in seen if t - start_s >= 1.0)
        second_mm.append(_moved_mm(model, area, second, last))
        frozen = next(
            ((face, t) for face, t in seen if face.identity_state is not None and face.identity_state.frozen), None
        )
        if frozen is None:
            not_frozen += 1
        else:
            frozen_mm.append(_moved_mm(model, area, frozen[0], last))
            frozen_after_s.append(frozen[1] - start_s)
        half = len(encoded) // 2
        ends = [
            next(
                (face for face in reversed(fit(model, set_name, part, fit_config=fit_config)) if face is not None), None
            )
            for part in (encoded[:half], encoded[half:])
        ]
        if ends[0] is not None and ends[1] is not None:
            halves_mm.append(_moved_mm(model, area, ends[0], ends[1]))
    return {
        "clips": len(second_mm),
        "first_to_last_frozen_mm": _mean(frozen_mm),
        "clips_never_frozen": not_frozen,
        "frozen_after_s": _mean(frozen_after_s),
        "after_1s_to_last_mm": _mean(second_mm),
        "between_halves_mm": _mean(halves_mm),
    }


def _area(model: FaceModel) -> NDArray[np.intp]:
    """Vertices near the face's landmarks: the same part of every model, whatever regions it names."""
    marks = model.landmarks(model.template, "ibug68")
    skin = np.flatnonzero(model.parts == model.part_names.index("skin"))
    place = model.template[skin]
    nearest = np.sqrt(((place[:, None] - marks) ** 2).sum(axis=2)).min(axis=1)
    return skin[nearest < 0.02]


def _moved_mm(model: FaceModel, area: NDArray[np.intp], one: Face, other: Face) -> float:
    a, b = (model.neutral_vertices(face.identity)[area] for face in (one, other))
    return float(np.linalg.norm(metrics.aligned(a, b) - b, axis=1).mean() * 1e3)


def _skipped(what: str) -> None:
    sys.stderr.write(f"evaluate: left out: {what}\n")


def _mean(values: Sequence[float]) -> float | None:
    return _round(float(np.mean(values))) if len(values) else None


def _round(value: float) -> float:
    return round(float(value), 3)
