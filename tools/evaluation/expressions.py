"""(f) Do expressions mean what they say? Rendered performances of known weights, and real clips with labelled frames.

Rendered people (``performances``) do each expression alone, one-sided, in pairs and as whole faces while their heads turn.
Per expression:

- ``correlation`` and ``gain`` (slope of what was found over the truth) over all frames;
- ``precision``, ``recall`` of frames: found above 0.3 against truth above 0.4 (frames in between are not judged);
- ``event_precision``, ``event_recall``: an act in which the truth peaks above 0.5 is an event, found when the found weight
  peaks above 0.3 during it; a peak above 0.3 in an act in which the truth stays at zero is a false one;
- ``crosstalk``: mean found peak over the acts of others;
- ``other_side``: mean peak of the resting side over that of the acting one, where one side acts alone.

Real clips: frames labelled by eye as on or off in ``expression_labels.csv``; ``on`` and ``off`` are mean weights, ``separation``
the chance that a random on-frame has a higher weight than a random off-frame. MediaPipe's scores stand beside.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import SHARED
from tools.evaluation.expression_material import Kind, Material, Studio
from tools.evaluation.metrics import weight_score
from tools.evaluation.subjects import SIZE
from tools.evaluation.tracking import fit
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig

Float64 = NDArray[np.float64]

LABELS: Final = Path(__file__).with_name("expression_labels.csv")
FIRST: Final = (
    "eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "browInnerUp",
    "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight", "eyeLookUpLeft", "eyeLookDownLeft", "eyeLookInLeft",
    "eyeLookOutLeft",
)  # fmt: skip
"""What matters most."""
_FOUND: Final = 0.3
_MEANT: Final = 0.4
_EVENT: Final = 0.5
_SILENT: Final = 0.02

# Labels of the table that stand for more than one weight: the largest of them is judged.
_COMPOSITE: Final[dict[str, tuple[str, ...]]] = {
    "lipsRounded": ("mouthPucker", "mouthFunnel"),
    "eyesOpenLookingDown": ("eyeBlinkLeft", "eyeBlinkRight"),
}  # fmt: skip
_LOOKS: Final[dict[str, tuple[str, str]]] = {
    "lookUp": ("eyeLookUpLeft", "eyeLookUpRight"), "lookDown": ("eyeLookDownLeft", "eyeLookDownRight"),
    "lookLeft": ("eyeLookOutLeft", "eyeLookInRight"), "lookRight": ("eyeLookInLeft", "eyeLookOutRight"),
}  # fmt: skip

Track = Callable[[Material], NDArray[np.floating]]


def evaluate(
    model: FaceModel,
    studio: Studio,
    *,
    kinds: Sequence[Kind],
    people: Sequence[int],
    with_clips: bool = True,
    fit_config: FitConfig | None = None,
) -> dict[str, Any]:
    """Figures of rendered people per kind, and of labelled clips where the development data is there."""

    def tracked(material: Material) -> NDArray[np.floating]:
        return weights_of(model, material, fit_config)

    result: dict[str, Any] = {}
    for kind in kinds:
        materials = [studio.rendered(kind, seed) for seed in people]
        result[kind] = {
            "tracker": rendered_figures(materials, tracked),
            "scores": rendered_figures(materials, scores_of),
        }
        if all(material.peer is not None for material in materials):
            result[kind]["mediapipe"] = rendered_figures(materials, peer_of)
    clips = [name for name in labelled_clips() if (SHARED / "clips" / name).is_file()]
    if with_clips and clips:
        materials = [studio.clip(name) for name in clips]
        result["clips"] = {"tracker": clip_figures(materials, tracked)}
        if all(material.peer is not None for material in materials):
            result["clips"]["mediapipe"] = clip_figures(materials, peer_of)
    return result


def weights_of(model: FaceModel, material: Material, fit_config: FitConfig | None = None) -> NDArray[np.floating]:
    """(T, 52) published weights, NaN where there was no face."""
    focal_px = Camera.for_image(*SIZE).focal_px if material.truth is not None else None
    set_name = next(seen.observations[0].landmarks.set_name for seen in material.encoded if seen.observations)
    faces = fit(model, set_name, material.encoded, fit_config=fit_config, focal_px=focal_px)
    return np.array([np.full(len(ARKIT_NAMES), np.nan) if face is None else face.arkit for face in faces])


def scores_of(material: Material) -> NDArray[np.floating]:
    """(T, 52) scores of the tracker's own encoder."""
    hints = [seen.observations[0].arkit_hint if seen.observations else None for seen in material.encoded]
    return np.array([np.full(len(ARKIT_NAMES), np.nan) if hint is None else hint for hint in hints])


def peer_of(material: Material) -> NDArray[np.floating]:
    """(T, 52) MediaPipe's scores."""
    assert material.peer is not None
    return material.peer


def rendered_figures(materials: Sequence[Material], track: Track) -> dict[str, Any]:
    """Means over expressions, over the first ones, and each expression by itself."""
    found = [track(material) for material in materials]
    true = [_truth(material) for material in materials]
    acts = [_acts(material) for material in materials]
    each: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(ARKIT_NAMES):
        if max(part[:, index].max() for part in true) < _EVENT:
            continue
        each[name] = _figures_of(index, found, true, acts)
    keys = ("correlation", "gain", "precision", "recall", "event_precision", "event_recall", "crosstalk", "other_side")
    means = {
        title: {key: _mean(each[name][key] for name in names if name in each) for key in keys}
        for title, names in (("all", tuple(each)), ("first", FIRST))
    }
    return {**means, "expressions": each}


def _figures_of(
    index: int, found: Sequence[NDArray[np.floating]], true: Sequence[NDArray[np.float32]], acts: Sequence[list[slice]]
) -> dict[str, float | None]:
    joined = np.concatenate([part[:, index] for part in found]).astype(np.float64)
    real = np.concatenate([part[:, index] for part in true]).astype(np.float64)
    seen = np.isfinite(joined)
    score = weight_score(joined[seen], real[seen])
    meant, silent, above = real > _MEANT, real < _SILENT, joined > _FOUND
    hits, false = int((meant & above).sum()), int((silent & above).sum())
    peaks = [
        (
            float(np.nanmax(part[span, index], initial=0.0)),
            float(truth[span, index].max()),
            _opposite(truth[span], index),
        )
        for part, truth, spans in zip(found, true, acts, strict=True)
        for span in spans
    ]
    events = [peak for peak, meant_peak, _ in peaks if meant_peak > _EVENT]
    others = [peak for peak, meant_peak, _ in peaks if meant_peak < _SILENT]
    resting = [peak for peak, meant_peak, opposite in peaks if meant_peak < _SILENT and opposite > _EVENT]
    detected, invented = sum(peak > _FOUND for peak in events), sum(peak > _FOUND for peak in others)
    return {
        "correlation": _number(score.correlation),
        "gain": _number(score.gain),
        "precision": _ratio(hits, hits + false),
        "recall": _ratio(hits, int(meant.sum())),
        "event_precision": _ratio(detected, detected + invented),
        "event_recall": _ratio(detected, len(events)),
        "crosstalk": _mean(others),
        "other_side": _ratio(float(np.mean(resting)), max(float(np.mean(events)), 1e-6))
        if resting and events
        else None,
    }


def _opposite(truth: NDArray[np.float32], index: int) -> float:
    """Peak of the same expression on the other side of the face."""
    name = ARKIT_NAMES[index]
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if (
            name.endswith(side)
            and f"{name.removesuffix(side)}{other}" in ARKIT_INDEX
            and not name.startswith("eyeLook")
        ):
            return float(truth[:, ARKIT_INDEX[f"{name.removesuffix(side)}{other}"]].max())
    return 0.0


def _acts(material: Material) -> list[slice]:
    assert material.act is not None
    starts = np.flatnonzero(np.diff(material.act, prepend=-2))
    ends = [*starts[1:], len(material.act)]
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def _truth(material: Material) -> NDArray[np.float32]:
    assert material.truth is not None
    return material.truth


def labelled_clips() -> list[str]:
    """Clips of the label table."""
    return sorted({row["clip"] for row in _rows()})


def clip_figures(materials: Sequence[Material], track: Track) -> dict[str, Any]:
    """Per label: mean weight of on- and off-frames, share of on-frames above and of off-frames below 0.3, separation."""
    on: dict[str, list[Float64]] = defaultdict(list)
    off: dict[str, list[Float64]] = defaultdict(list)
    by_name = {material.name: track(material) for material in materials}
    for row in _rows():
        if row["clip"] not in by_name:
            continue
        weights = by_name[row["clip"]][int(row["first"]) : int(row["last"]) + 1]
        for name, columns in _columns(row["label"]):
            values = weights[:, columns].max(axis=1).astype(np.float64)
            (on if row["state"] == "on" else off)[name].append(values[np.isfinite(values)])
    figures: dict[str, Any] = {}
    for name in sorted({*on, *off}):
        meant = np.concatenate(on.get(name, [np.zeros(0)]))
        silent = np.concatenate(off.get(name, [np.zeros(0)]))
        figures[name] = {
            "on": _mean(meant),
            "off": _mean(silent),
            "event_peak_min": _number(min(float(part.max()) for part in on[name])) if name in on else None,
            "recall": _mean(meant > _FOUND),
            "false": _mean(silent > _FOUND),
            "separation": _separation(meant, silent),
        }
    return {"labels": figures, "separation": _mean(f["separation"] for f in figures.values())}


def _columns(label: str) -> list[tuple[str, list[int]]]:
    """Names of figures and the weights (columns) each is the largest of."""
    if label in _COMPOSITE:
        return [(label, [ARKIT_INDEX[name] for name in _COMPOSITE[label]])]
    names = _LOOKS.get(label) or ((label,) if label in ARKIT_INDEX else (f"{label}Left", f"{label}Right"))
    return [(f"{label}:{name}" if label in _LOOKS else name, [ARKIT_INDEX[name]]) for name in names]


def _rows() -> list[dict[str, str]]:
    with LABELS.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _separation(on: Float64, off: Float64) -> float | None:
    if not len(on) or not len(off):
        return None
    return _number(float((on[:, None] > off).mean() + 0.5 * (on[:, None] == off).mean()))


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole > 0 else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)


def _mean(values: Iterable[Any]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    return round(float(np.mean(numbers)), 3) if numbers else None
