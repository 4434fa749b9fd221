"""All five measurements, one after the other."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tools.evaluation import steadiness
from tools.evaluation.appearance import occlusion, separation, steps
from tools.evaluation.appearance.episodes import SIZES, frames_needed, occlude
from tools.evaluation.appearance.runs import MODES, Mode, Runner
from tools.evaluation.clips import SHARED, frames_of
from tools.evaluation.tracking import Encoded, Follower
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.rendering.occluders import Image
from tracker.samples import sample

PARTS: Final = ("separation", "occlusion", "steadiness", "steps", "cost")
_CLIPS: Final = ("webcam_cap13.mp4", "talk_d9.mp4", "talk_d3.mp4")
_STILL_FRAMES: Final = 110
_COST_FRAMES: Final = 72
_STEADY: Final = (
    "landmarks_percent",
    "landmarks_without_pose_percent",
    "pose_std_max_deg",
    "pose_without_drift_deg",
    "arkit_std_mean",
)


def evaluate(model: FaceModel, follower: Follower, *, parts: tuple[str, ...], quick: bool) -> dict[str, Any]:
    """The chosen ``PARTS``. Clips of the development data are used where they are; else a sample's first seconds."""
    runner = Runner(model, follower.set_name)
    result: dict[str, Any] = {}
    with_clips = {"occlusion", "steadiness", "steps"} & set(parts)
    clips = _clips(follower, 200 if quick else frames_needed()) if with_clips else {}
    if "separation" in parts:
        result["separation"] = separation.evaluate(runner, follower, tones=1 if quick else len(separation.MELANIN))
    if "occlusion" in parts:
        result["occlusion"] = occluded(runner, follower, clips, (1.0,) if quick else SIZES)
    if "steadiness" in parts:
        result["steadiness"] = steady(runner, follower, clips, seeds=1 if quick else 2)
    if "steps" in parts:
        name, (images, encoded) = next(iter(clips.items()))
        frames = steps.STEP_AT + steps.AFTER
        result["steps"] = {name: steps.evaluate(runner, follower, images[:frames], encoded[:frames], "auto")}
    if "cost" in parts:
        result["cost"] = cost(runner, follower)
    return result


def occluded(
    runner: Runner, follower: Follower, clips: dict[str, tuple[list[Image], list[Encoded]]], sizes: tuple[float, ...]
) -> dict[str, Any]:
    """Deviation under occluders per mode, its ratio to that without the feature, and the change where nothing is in front."""
    compare = occlusion.Comparison(runner.model)
    totals: dict[Mode, occlusion.Deviations] = {mode: occlusion.empty() for mode in MODES}
    unprovoked: dict[str, Any] = {}
    for name, (images, encoded) in clips.items():
        camera = Camera.for_image(images[0].shape[1], images[0].shape[0])
        clean = {mode: runner(images, encoded, mode) for mode in MODES}
        unprovoked[name] = {mode: compare.unprovoked(camera, clean["off"], clean[mode]) for mode in MODES[1:]}
        landmarks = [seen.observations[0].landmarks.points for seen in encoded]
        for size in sizes:
            hidden = occlude(images, landmarks, size)
            seen = follower.encode_images(hidden.images)
            for mode in MODES:
                faces = runner(hidden.images, seen, mode)
                totals[mode].add(compare(camera, clean[mode], faces, hidden.cover, hidden.kind))
    figures: dict[str, Any] = {mode: totals[mode].figures() for mode in MODES}
    for mode in MODES[1:]:
        figures[f"{mode} over off"] = occlusion.ratios(figures["off"], figures[mode])
    return {**figures, "without an occluder": unprovoked}


def steady(
    runner: Runner, follower: Follower, clips: dict[str, tuple[list[Image], list[Encoded]]], seeds: int
) -> dict[str, Any]:
    """Jitter of stills and lag in clips per mode; lag is against the raw fit of landmarks alone, and that of the
    filters against the mode's own.
    """
    figures: dict[str, Any] = {mode: {} for mode in MODES}
    for name, picture in steadiness.still_sources().items():
        streams = [steadiness.still_images(follower, picture, seed)[:_STILL_FRAMES] for seed in range(seeds)]
        seen = [follower.encode_images(images) for images in streams]
        for mode in MODES:
            faces = [runner(list(i), e, mode) for i, e in zip(streams, seen, strict=True)]
            for raw in (True, False):
                each = [
                    steadiness.still_figures(steadiness.motion_of(runner.model, e, f, raw=raw))
                    for e, f in zip(seen, faces, strict=True)
                ]
                figures[mode][f"{name} {'raw' if raw else 'published'}"] = {
                    key: round(float(np.mean([row[key] for row in each])), 4) for key in _STEADY
                }
    fitted = {mode: [runner(images, encoded, mode) for images, encoded in clips.values()] for mode in MODES}
    views = [encoded for _, encoded in clips.values()]
    reference = [steadiness.motion_of(runner.model, e, f, raw=True) for e, f in zip(views, fitted["off"], strict=True)]
    for mode in MODES:
        motions = [
            steadiness.motion_of(runner.model, e, f, raw=False) for e, f in zip(views, fitted[mode], strict=True)
        ]
        figures[mode]["lag"] = steadiness.lag_figures(list(zip(reference, motions, strict=True)))
        own = [steadiness.motion_of(runner.model, e, f, raw=True) for e, f in zip(views, fitted[mode], strict=True)]
        figures[mode]["lag of the filters"] = steadiness.lag_figures(list(zip(own, motions, strict=True)))
    return figures


def cost(runner: Runner, follower: Follower) -> dict[str, Any]:
    """Milliseconds a frame of a known person at 640x360 on one thread, the modes interleaved: fit, appearance and both, mean,
    median and 95th percentile. A calm face is not looked at in every frame, so that the mean is what counts.

    The clip is played to its end and back, and the way back counts: how long a person is learned differs between the modes.
    """
    there = [frame.image for frame in frames_of(sample("single_face.mp4"), _COST_FRAMES)]
    images = there + there[::-1]
    encoded = follower.encode_images(images)
    times: dict[Mode, tuple[list[float], list[float]]] = {mode: ([], []) for mode in MODES}
    for _ in range(3):
        for mode in MODES:
            runner.fit_ms.clear()
            runner.appearance_ms.clear()
            runner(images, encoded, mode)
            times[mode][0].extend(runner.fit_ms[_COST_FRAMES:])
            times[mode][1].extend(runner.appearance_ms[_COST_FRAMES:] or [0.0] * _COST_FRAMES)
    return {mode: _spread_ms(*times[mode]) for mode in MODES}


def _spread_ms(fit: list[float], appearance: list[float]) -> dict[str, float]:
    both = np.add(fit, appearance)
    figures: dict[str, float] = {}
    for stage, values in (("fit", fit), ("appearance", appearance), ("both", both)):
        figures[f"{stage}_ms_mean"] = round(float(np.mean(values)), 3)
        figures[f"{stage}_ms_median"] = round(float(np.median(values)), 3)
        figures[f"{stage}_ms_p95"] = round(float(np.percentile(values, 95)), 3)
    return figures


def _clips(follower: Follower, frames: int) -> dict[str, tuple[list[Image], list[Encoded]]]:
    paths = [path for path in (SHARED / "clips" / name for name in _CLIPS) if path.is_file()]
    paths.append(sample("single_face.mp4"))
    clips = {}
    for path in paths:
        images = [frame.image for frame in frames_of(path, frames)]
        clips[path.name] = (images, follower.encode_images(images))
    return clips
