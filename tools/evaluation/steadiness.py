"""(c) Steadiness and lag together: either alone is easy.

Jitter: pictures held still, repeated with fresh noise of sigma 3, the eyes 64 px apart. Figures are the mean over landmarks
of the standard deviation over frames, per coordinate, in % of the eye distance, and the pose's standard deviation about the
camera's axes; means over three seeds of the noise. The same for real still segments, where slow motion is taken out first.

Lag: on real clips, the time shift (in frames, weighted by speed) that best explains the smoothed values by the raw ones, which
lag nothing: smooth(t) = raw(t - lag). Given for landmarks, for pose and for expression weights, and apart for slow motion.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import SHARED, eye_distance, frames_of
from tools.evaluation.tracking import Encoded, Follower, fit, project
from tools.peers.client import SubjectProcess
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.rotations import matrix_from_rotvec, rotvec_from_matrix
from tracker.samples import sample
from tracker.smoothing import SmoothingConfig
from tracker.types import Face

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

EYES_PX: Final = 64.0
NOISE: Final = 3.0
STILL_FRAMES: Final = 150
SEEDS: Final = 3
_SETTLE: Final = 40
_STILL_SHARED: Final = ("webcam_cap13.mp4", "talk_d9.mp4")
_MOVING_SAMPLES: Final = ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
_MOVING_SHARED: Final = ("talk_d3.mp4", "talk_d6.mp4", "webcam_cap13.mp4", "grid_bbaf2n.mpg")
_MOVING_FRAMES: Final = 240
_SEGMENT: Final = 12
SLOW_PERCENT: Final = (0.15, 1.0)
"""Landmark speed in % of the eye distance per frame that counts as slow motion; faster is fast."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What a stream did: entries for consecutive frames with a face."""

    landmarks: Floats
    """(T, L, 2) projected fitted landmarks in % of the eye distance."""
    turn: Floats
    """(T, 3) rotation vector in camera axes relative to the first frame, degrees."""
    arkit: Floats
    """(T, 52)."""


def still_sources() -> dict[str, Image]:
    """Pictures that are held still: a sample photograph and the first frames of clips, from easy to hard."""
    pictures = {"single_face.jpg": next(iter(frames_of(sample("single_face.jpg")))).image}
    clips = [sample("WolfgangLanger_Pexels.mp4"), *(SHARED / "clips" / name for name in _STILL_SHARED)]
    return pictures | {clip.name: next(iter(frames_of(clip, 1))).image for clip in clips if clip.is_file()}


def still_images(follower: Follower, picture: Image, seed: int) -> Image:
    """(T, H, W, 3): a picture scaled so that the eyes are 64 px apart, with fresh noise in every frame."""
    (seen,) = follower.encode_images([picture] * 3)[-1].observations
    scale = EYES_PX / eye_distance(seen.landmarks.points)
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(
        np.float32
    )
    rng = np.random.default_rng(seed)
    return np.stack([
        np.clip(small + rng.normal(0.0, NOISE, small.shape) + 0.5, 0, 255).astype(np.uint8) for _ in range(STILL_FRAMES)
    ])  # fmt: skip


def moving_clips() -> list[Path]:
    """Clips with a face that moves."""
    shared = [SHARED / "clips" / name for name in _MOVING_SHARED]
    return [sample(name) for name in _MOVING_SAMPLES] + [path for path in shared if path.is_file()]


@dataclass(frozen=True, slots=True)
class Material:
    """The networks' view of everything that is judged; fits and smoothing are tried on it."""

    stills: dict[str, list[list[Encoded]]]
    """Per picture one stream for each seed of the noise."""
    clips: dict[str, list[Encoded]]
    set_name: str


def prepare(follower: Follower, clips: Sequence[Path] | None = None, frames: int = _MOVING_FRAMES) -> Material:
    """Run the networks once over the still and the clips."""
    chosen = moving_clips() if clips is None else list(clips)
    return Material(
        {
            name: [follower.encode_images(still_images(follower, picture, seed)) for seed in range(SEEDS)]
            for name, picture in still_sources().items()
        },
        {clip.name: follower.encode(frames_of(clip, frames)) for clip in chosen},
        follower.set_name,
    )


def evaluate(
    model: FaceModel, material: Material, smoothing: SmoothingConfig | None = None, fit_config: FitConfig | None = None
) -> dict[str, Any]:
    """Figures of raw and smoothed values."""
    result: dict[str, Any] = {"raw": {}, "smooth": {}}
    for name, streams in material.stills.items():
        fitted = [fit(model, material.set_name, each, smoothing=smoothing, fit_config=fit_config) for each in streams]
        for kind in ("raw", "smooth"):
            result[kind][name] = _averaged([
                still_figures(motion_of(model, encoded, faces, raw=kind == "raw"))
                for encoded, faces in zip(streams, fitted, strict=True)
            ])  # fmt: skip
    for kind in ("raw", "smooth"):
        result[kind]["worst"] = _worst(result[kind])
    pairs = []
    for encoded in material.clips.values():
        fitted = fit(model, material.set_name, encoded, smoothing=smoothing, fit_config=fit_config)
        for part, chosen in _unbroken(encoded, fitted):
            pairs.append((motion_of(model, part, chosen, raw=True), motion_of(model, part, chosen, raw=False)))
    result["lag"] = lag_figures(pairs)
    result["segments"] = segment_figures(pairs)
    return result


def motion_of(model: FaceModel, encoded: Sequence[Encoded], faces: Sequence[Face | None], *, raw: bool) -> Motion:
    """The motion in a stream in which every frame has a face."""
    landmarks, turns, arkit, sizes = [], [], [], []
    first: NDArray[np.float64] | None = None
    for seen, face in zip(encoded, faces, strict=True):
        if face is None:
            continue
        params = face.raw if raw else face.params
        camera = Camera.for_image(seen.width, seen.height)
        used = model.embedding("mediapipe478").weight > 0.3
        sizes.append(eye_distance(face.landmarks.points))
        landmarks.append(project(model, face, params, camera, "mediapipe478")[used])
        rotation = matrix_from_rotvec(params.rotation)
        first = rotation if first is None else first
        turns.append(np.degrees(rotvec_from_matrix(rotation @ first.T)))
        weights = face.arkit_raw if raw else face.arkit
        assert weights is not None
        arkit.append(weights)
    # One eye distance for the whole stream, or its own jitter would be added.
    return Motion(
        np.array(landmarks, np.float64) * (100.0 / np.median(sizes)), np.array(turns), np.array(arkit, np.float64)
    )


def still_figures(motion: Motion) -> dict[str, Any]:
    """Jitter once the stream has settled."""
    return {
        "landmarks_percent": _number(jitter(motion.landmarks[_SETTLE:])),
        "pose_std_deg": [_number(value) for value in motion.turn[_SETTLE:].std(axis=0)],
        "pose_std_max_deg": _number(motion.turn[_SETTLE:].std(axis=0).max()),
        "pose_without_drift_deg": _number(_without_drift(motion.turn[_SETTLE:]).std(axis=0).max()),
        "landmarks_without_pose_percent": _number(jitter(_without_pose(motion.landmarks[_SETTLE:]))),
        "arkit_std_mean": _number(motion.arkit[_SETTLE:].std(axis=0).mean()),
        "arkit_std_max": _number(motion.arkit[_SETTLE:].std(axis=0).max()),
    }


def _without_drift(series: Floats) -> Floats:
    """A series (T, C) less the straight line through each of its entries."""
    time = np.arange(len(series)) - (len(series) - 1) / 2.0
    return series - series.mean(axis=0) - np.outer(time, time @ series) / (time @ time)


def _without_pose(points: Floats) -> Floats:
    """What points (T, L, 2) of a nearly still face do apart from affine motion, which is all that a small change of pose is."""
    mean = points.mean(axis=0)
    affine = np.column_stack([mean, np.ones(len(mean))])
    away = points - mean
    return away - affine @ (np.linalg.pinv(affine) @ away)


def jitter(points: Floats) -> float:
    """Mean over points (T, L, 2) of the standard deviation over time, per coordinate."""
    return float(points.std(axis=0).mean())


def lag_figures(pairs: Sequence[tuple[Motion, Motion]]) -> dict[str, Any]:
    """Frames by which the second of each pair lags the first."""

    def over(pick: Callable[[Motion], Floats], speed: tuple[float, float] | None = None) -> float | None:
        return _lag([(pick(raw), pick(smooth), _speed(raw)) for raw, smooth in pairs], speed)

    return {
        "landmarks_frames": over(lambda motion: motion.landmarks),
        "landmarks_slow_frames": over(lambda motion: motion.landmarks, SLOW_PERCENT),
        "landmarks_fast_frames": over(lambda motion: motion.landmarks, (SLOW_PERCENT[1], np.inf)),
        "pose_frames": over(lambda motion: motion.turn),
        "expression_frames": over(lambda motion: motion.arkit),
        "eyes_frames": over(lambda motion: motion.arkit[:, :14]),
    }


def segment_figures(pairs: Sequence[tuple[Motion, Motion]]) -> dict[str, Any]:
    """High-frequency jitter (what a symmetric three-frame mean cannot explain) in the stillest segments of the clips."""
    raw_all, smooth_all = [], []
    for raw, smooth in pairs:
        if len(raw.turn) < _SEGMENT * 3:
            continue
        speed = np.convolve(_speed(raw), np.ones(_SEGMENT) / _SEGMENT, "valid")
        start = int(np.argmin(speed))
        part = slice(start, start + _SEGMENT)
        raw_all.append(_roughness(raw.landmarks[part]))
        smooth_all.append(_roughness(smooth.landmarks[part]))
    if not raw_all:
        return {}
    return {
        "raw_percent": _number(np.mean(raw_all)),
        "smooth_percent": _number(np.mean(smooth_all)),
        "segments": len(raw_all),
    }


def peer_stills(peer: SubjectProcess) -> dict[str, Any]:
    """The same jitter of a peer's landmarks and pose."""
    follower = Follower()
    figures = {
        name: _averaged([_peer_still(peer, still_images(follower, picture, seed)) for seed in range(SEEDS)])
        for name, picture in still_sources().items()
    }
    return {**figures, "worst": _worst(figures)}


def _averaged(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entry by entry over the seeds."""
    return {name: np.round(np.mean([each[name] for each in figures], axis=0), 4).tolist() for name in figures[0]}


def _worst(figures: dict[str, dict[str, Any]]) -> dict[str, float]:
    names = [
        name for name in ("landmarks_percent", "pose_std_max_deg") if all(name in each for each in figures.values())
    ]
    return {name: max(each[name] for each in figures.values()) for name in names}


def _peer_still(peer: SubjectProcess, images: Image) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, images)
        seen = peer.see(0, peer.load(path, 30.0))
    points = seen["landmarks"][_SETTLE:, :, :2].astype(np.float64) * (100.0 / EYES_PX)
    figures: dict[str, Any] = {"landmarks_percent": _number(jitter(points))}
    rotation = seen["rotation"][_SETTLE:].astype(np.float64)
    if np.isfinite(rotation).all():
        turn = np.degrees([rotvec_from_matrix(each @ rotation[0].T) for each in rotation])
        figures["pose_std_deg"] = [_number(value) for value in turn.std(axis=0)]
        figures["pose_std_max_deg"] = _number(turn.std(axis=0).max())
    return figures


def _unbroken(
    encoded: Sequence[Encoded], faces: Sequence[Face | None]
) -> list[tuple[list[Encoded], list[Face | None]]]:
    """Runs of at least 30 frames of one face without a gap."""
    runs: list[tuple[list[Encoded], list[Face | None]]] = []
    current: tuple[list[Encoded], list[Face | None]] = ([], [])
    for seen, face in zip(encoded, faces, strict=True):
        last = current[1][-1] if current[1] else None
        if face is None or (last is not None and face.id != last.id):
            runs.append(current)
            current = ([], [])
        if face is not None:
            current[0].append(seen)
            current[1].append(face)
    runs.append(current)
    return [run for run in runs if len(run[0]) >= 30]


def _speed(motion: Motion) -> Floats:
    """(T,) landmark speed in % of the eye distance per frame, from slightly smoothed raw landmarks."""
    calm = _calm(motion.landmarks)
    step = np.gradient(calm, axis=0)
    speed: Floats = np.sqrt((step**2).sum(axis=2)).mean(axis=1)
    return speed


def _calm(series: Floats) -> Floats:
    """A symmetric binomial mean over five frames: no lag."""
    padded = np.concatenate([series[:1], series[:1], series, series[-1:], series[-1:]])
    return sum(w * padded[k : k + len(series)] for k, w in enumerate((1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)))  # type: ignore[return-value]


def _lag(triples: Sequence[tuple[Floats, Floats, Floats]], speed: tuple[float, float] | None) -> float | None:
    """Least squares of smooth(t) = raw(t) - lag * raw'(t), over all frames whose speed is in range."""
    numerator = denominator = 0.0
    for raw, smooth, speeds in triples:
        reference = _calm(raw)
        slope = np.gradient(reference, axis=0)
        chosen = np.ones(len(raw), bool) if speed is None else (speeds >= speed[0]) & (speeds < speed[1])
        # The first frames after a start pass through unsmoothed.
        chosen[:5] = False
        chosen[-3:] = False
        numerator -= float(((smooth - reference)[chosen] * slope[chosen]).sum())
        denominator += float((slope[chosen] ** 2).sum())
    return _number(numerator / denominator) if denominator > 0 else None


def _roughness(points: Floats) -> float:
    """Standard deviation of what is left of (T, L, 2) after removing the mean of both neighbours, per coordinate."""
    middle = points[1:-1] - (points[:-2] + points[2:]) / 2
    # Of independent noise s, the difference has variance 1.5 s^2.
    return float(np.sqrt((middle**2).mean() / 1.5))


def _number(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
