"""What a fit costs per face model: the same frames through all of them in turn, in one process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tools.evaluation.tracking import Encoded
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FaceFitter, FitConfig

_COLD_EVERY = 12


def measure(
    models: dict[str, FaceModel], set_name: str, encoded: Sequence[Encoded], config: FitConfig | None = None
) -> dict[str, dict[str, float | None]]:
    """Medians in ms of frames of each sort per model, and their ratio to the first model's.

    ``warm``: from the previous frame with the identity held. ``keyframe``: warm, and identity learned from it. ``cold``: the
    first frame of an unknown person. Models take turns frame by frame, so that whatever else the machine does hits all alike.
    """
    fitters = {name: FaceFitter(model, set_name, config) for name, model in models.items()}
    strangers = {name: FaceFitter(model, set_name, config) for name, model in models.items()}
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    order = list(models)
    for index, seen in enumerate(encoded):
        if not seen.observations:
            continue
        camera = Camera.for_image(seen.width, seen.height)
        observation = seen.observations[0]
        order = order[1:] + order[:1]
        for name in order:
            fitter = fitters[name]
            before = fitter.identity.keyframe_count
            start = time.perf_counter()
            fitted = fitter.fit(observation, camera)
            ms = (time.perf_counter() - start) * 1e3
            learned = fitter.identity.keyframe_count > before
            if not fitted.cold:
                spent[name, "keyframe" if learned else "warm"].append(ms)
            if index % _COLD_EVERY == 0:
                strangers[name].forget()
                start = time.perf_counter()
                strangers[name].fit(observation, camera)
                spent[name, "cold"].append((time.perf_counter() - start) * 1e3)
    base = next(iter(models))
    figures: dict[str, dict[str, float | None]] = {}
    for name in models:
        row: dict[str, float | None] = {}
        for sort in ("warm", "keyframe", "cold"):
            mine, its = spent[name, sort], spent[base, sort]
            row[sort] = round(float(np.median(mine)), 2) if mine else None
            row[f"{sort}_ratio"] = round(float(np.median(mine) / np.median(its)), 2) if mine and its else None
        figures[name] = row
    return figures
