"""The encoders side by side, on the same pictures: accuracy, losses, steadiness, occluders, large yaw, expressions, sigma, cost.

Clips and photographs in ``HELD_OUT`` took no part in training any encoder that is shipped here; what MediaPipe's own networks
were trained on is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import encoder_cost, encoder_yaw, ict, robustness, steadiness, stills, synthetic
from tools.evaluation.appearance import occlusion
from tools.evaluation.appearance.episodes import frames_needed, occlude
from tools.evaluation.appearance.runs import Runner
from tools.evaluation.clips import SHARED, all_clips, eye_distance, frames_of
from tools.evaluation.tracking import Encoded, Follower
from tracker.camera import Camera
from tracker.config import EncoderName, TrackerConfig
from tracker.face_model import FaceModel
from tracker.samples import sample
from tracker.types import Face

Floats = NDArray[np.float64]

PARTS: Final = ("stills", "clips", "steadiness", "occluders", "yaw", "expression", "sigma", "cost")
HELD_OUT: Final = ("talk_d9.mp4", "talk_d3.mp4", "grid_lbax4n.mpg", "grid_lwbsza.mpg")
"""Besides ``single_face.mp4``, the photographs, talk_d6.mp4 and headpose_female.mp4."""
_LEAST_COVERED: Final = 0.05
_DECILES: Final = 10


def evaluate(
    model: FaceModel, names: Sequence[EncoderName], *, parts: Sequence[str] = PARTS, quick: bool = False
) -> dict[str, Any]:
    """Figures per part and encoder. What needs development data that is absent is left out."""
    followers = {name: Follower(TrackerConfig(encoder=name)) for name in names}
    questions: dict[str, Callable[[Follower], dict[str, Any]]] = {
        "clips": lambda follower: losses(follower, 40 if quick else None),
        "steadiness": lambda follower: steady(model, follower, quick),
        "occluders": lambda follower: occluded(model, follower, quick),
    }
    if stills.available():
        questions["stills"] = lambda follower: _without(stills.evaluate(model, follower, None), "faces")
        questions["sigma"] = sigma_deciles
    if ict.available():
        questions["yaw"] = lambda follower: encoder_yaw.evaluate(model, follower, quick)
        questions["expression"] = lambda follower: expressions(model, follower, quick)
    result: dict[str, Any] = {
        part: {name: questions[part](followers[name]) for name in names} for part in parts if part in questions
    }
    if "cost" in parts:
        result["cost"] = encoder_cost.evaluate(names)
    return result


def losses(follower: Follower, limit: int | None) -> dict[str, Any]:
    """Frames without a face in clips that show one throughout, and with one in a clip that shows none."""
    figures = {clip.name: robustness.clip_figures(follower, None, clip, limit) for clip in all_clips()}
    return {
        "frames": sum(each["frames"] for each in figures.values() if "lost" in each),
        "lost": sum(each.get("lost", 0) for each in figures.values()),
        "lost_in": ", ".join(f"{name} {each['lost']}" for name, each in figures.items() if each.get("lost")) or "none",
        "found_in_face_noface": figures["face_noface.mov"]["with_face"],
        "invented": figures["no_face.mp4"]["with_face"],
    }


def steady(model: FaceModel, follower: Follower, quick: bool) -> dict[str, Any]:
    """Jitter of pictures held still (network's points, raw fit, published fit), and lag of what is published."""
    material = steadiness.prepare(follower, None, 100 if quick else 240)
    fitted = steadiness.evaluate(model, material)
    network = {
        name: float(np.mean([network_jitter(stream) for stream in streams]))
        for name, streams in material.stills.items()
    }
    figures: dict[str, Any] = {
        name: {
            "network_percent": round(network[name], 4),
            "raw_fit_percent": fitted["raw"][name]["landmarks_percent"],
            "raw_fit_pose_deg": fitted["raw"][name]["pose_std_max_deg"],
            "published_percent": fitted["smooth"][name]["landmarks_percent"],
        }
        for name in material.stills
    }
    figures["lag_frames"] = {
        name: fitted["lag"][name] for name in ("landmarks_frames", "pose_frames", "expression_frames")
    }
    figures["clips_roughness_percent"] = {
        "network": round(float(np.mean([network_roughness(stream) for stream in material.clips.values()])), 4),
        "raw_fit": fitted["segments"].get("raw_percent"),
        "published": fitted["segments"].get("smooth_percent"),
    }
    return figures


def network_jitter(stream: Sequence[Encoded]) -> float:
    """Mean standard deviation of a still face's landmarks over time, per coordinate, in % of the eye distance."""
    points = _first_faces(stream)[40:]
    return (
        steadiness.jitter(points.astype(np.float64)) * 100.0 / float(np.median([eye_distance(each) for each in points]))
    )


def network_roughness(stream: Sequence[Encoded]) -> float:
    """What a symmetric three-frame mean cannot explain of a moving face's landmarks: the median frame, % of the eye distance."""
    points = _first_faces(stream)
    middle = points[1:-1] - (points[:-2] + points[2:]) / 2.0
    apart = np.array([eye_distance(each) for each in points[1:-1]])
    return float(np.median(np.sqrt((middle**2).mean(axis=(1, 2)) / 1.5) / apart) * 100.0)


def occluded(model: FaceModel, follower: Follower, quick: bool) -> dict[str, Any]:
    """Things moved over the faces of held-out clips: how far landmarks and fit stray from those of the unoccluded run.

    ``network``: the points themselves, in % of the eye distance: those in sight, those under the thing, and the shift that all
    have in common. ``fit``: see ``appearance.occlusion``; with the appearance stage off and on.
    """
    runner, compare = Runner(model, follower.set_name), occlusion.Comparison(model)
    rows: list[dict[str, float]] = []
    fits = {mode: occlusion.empty() for mode in ("off", "auto")}
    sizes = (1.0,) if quick else (0.7, 1.0, 1.4)
    for name in ("single_face.mp4", *HELD_OUT):
        path = sample(name) if name == "single_face.mp4" else SHARED / "clips" / name
        if not path.is_file():
            continue
        images = [frame.image for frame in frames_of(path, 140 if quick else frames_needed())]
        clean = follower.encode_images(images)
        if not all(seen.observations for seen in clean):
            continue
        camera = Camera.for_image(images[0].shape[1], images[0].shape[0])
        # Everything is put where one and the same encoder saw the face: the default one.
        landmarks = [seen.observations[0].landmarks.points for seen in _default_view(images)]
        before = {mode: runner(images, clean, mode) for mode in ("off", "auto")}
        for size in sizes:
            hidden = occlude(images, landmarks, size)
            seen = follower.encode_images(hidden.images)
            rows += network_deviations(clean, seen, hidden.cover)
            for mode in ("off", "auto"):
                faces: list[Face | None] = runner(hidden.images, seen, mode)
                fits[mode].add(compare(camera, before[mode], faces, hidden.cover, hidden.kind))
    figures: dict[str, Any] = {"frames": len(rows)}
    figures["network"] = {key: round(float(np.nanmean([row[key] for row in rows])), 3) for key in rows[0]}
    for mode, deviations in fits.items():
        every = deviations.figures()
        figures[f"fit, appearance {mode}"] = every["all"]
        for kind in sorted(set(every) - {"all"}):
            figures[f"fit, appearance {mode}, {kind}"] = {
                key: every[kind][key] for key in ("rotation_deg", "visible_percent", "hidden_percent")
            }
    return figures


def network_deviations(
    clean: Sequence[Encoded], seen: Sequence[Encoded], cover: Sequence[NDArray[np.float32] | None]
) -> list[dict[str, float]]:
    """Per frame with something in front of at least a twentieth of the points; lost frames do not count here."""
    rows = []
    for before, after, hidden in zip(clean, seen, cover, strict=True):
        if hidden is None or not after.observations:
            continue
        points, moved = (each.observations[0].landmarks.points[:, :2] for each in (before, after))
        at = np.clip(points.astype(int), 0, [hidden.shape[1] - 1, hidden.shape[0] - 1])
        under = hidden[at[:, 1], at[:, 0]] > 0.2
        if under.mean() < _LEAST_COVERED:
            continue
        offset = (moved - points) * (100.0 / eye_distance(points))
        length = np.linalg.norm(offset, axis=1)
        rows.append({
            "visible_percent": float(length[~under].mean()) if (~under).any() else np.nan,
            "hidden_percent": float(length[under].mean()),
            "common_shift_percent": float(np.linalg.norm(offset.mean(axis=0))),
        })  # fmt: skip
    return rows


def expressions(model: FaceModel, follower: Follower, quick: bool) -> dict[str, Any]:
    """Rendered ICT people through every expression: what the network's scores and what the fit make of them."""
    figures = synthetic.evaluate(
        model, follower, None, kinds=("ict",), people=1 if quick else 2, every=4 if quick else 2
    )["ict"]
    kept = {"fit_correlation": figures["raw"]["correlation"], "rotation_deg": figures["raw"]["rotation_deg"]}
    if "hint" in figures:
        kept["scores_correlation"] = figures["hint"]["correlation"]
    return {**kept, "identity_mm": figures["identity_mm"]}


def sigma_deciles(follower: Follower) -> dict[str, Any]:
    """Actual over predicted error of the 51 inner points of the photographs, by deciles of the prediction; 1 is calibrated.

    Each point's mean offset, a difference of definition, is taken out, as are the few faces that every method misses.
    """
    errors, sigmas = [], []
    for still in stills.load():
        observations = follower.encode_images([still.image] * 3)[-1].observations
        if not observations:
            continue
        landmarks = observations[0].landmarks
        chosen = stills.MESH_TO_68[stills.INNER]
        offset = (landmarks.points[chosen, :2] - still.points[stills.INNER]) / still.eye_distance
        if np.linalg.norm(offset, axis=1).mean() < 0.15:
            errors.append(offset)
            sigmas.append(landmarks.sigma[chosen] / still.eye_distance)
    return decile_ratios(np.array(errors, np.float64), np.array(sigmas, np.float64))


def decile_ratios(errors: Floats, sigmas: Floats) -> dict[str, Any]:
    """See ``sigma_deciles``: errors (F, N, 2), predictions (F, N)."""
    free = errors - np.median(errors, axis=0)
    rms = np.sqrt((free**2).mean(axis=2)).ravel()
    order = np.array_split(np.argsort(sigmas.ravel()), _DECILES)
    ratio = [float(np.sqrt((rms[part] ** 2).mean()) / np.sqrt((sigmas.ravel()[part] ** 2).mean())) for part in order]
    return {
        "faces": len(errors),
        "actual_over_predicted": ", ".join(f"{each:.2f}" for each in ratio),
        "deciles_within_20_percent": sum(0.8 <= each <= 1.25 for each in ratio),
        "rank_correlation": round(_rank_correlation(sigmas.ravel(), rms), 3),
    }


def _rank_correlation(a: Floats, b: Floats) -> float:
    ranks = [np.argsort(np.argsort(each)).astype(np.float64) for each in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def _first_faces(stream: Sequence[Encoded]) -> Floats:
    return np.array([seen.observations[0].landmarks.points[:, :2] for seen in stream if seen.observations], np.float64)


_default: list[Follower] = []


def _default_view(images: Sequence[NDArray[np.uint8]]) -> list[Encoded]:
    if not _default:
        _default.append(Follower(TrackerConfig(encoder="mediapipe")))
    return _default[0].encode_images(images)


def _without(figures: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in names}
