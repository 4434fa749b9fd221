"""What two passes buy over one: shape and skin known from the first frame on.

Every clip is tracked as `tracker process --appearance on` does, and again after a first pass over the whole of it. Then a
microphone stands before the mouth in the first second and goes away: what one pass learns as skin, the second knows to be none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import metrics
from tools.evaluation.appearance.episodes import skin_colour
from tools.evaluation.clips import SHARED, eye_distance, frames_of
from tools.evaluation.synthetic import face_area
from tracker.config import TrackerConfig
from tracker.enrolment.survey import Survey
from tracker.face_model import FaceModel
from tracker.rendering.occluders import make
from tracker.rotations import matrix_from_rotvec, rotvec_from_matrix
from tracker.samples import sample
from tracker.tracking import FrameTracker
from tracker.types import Face, Frame

Float32 = NDArray[np.float32]

FIRST_FRAMES: Final = 30
_SAMPLES: Final = ("single_face.mp4",)
_SHARED: Final = ("talk_d9.mp4", "webcam_cap13.mp4")
_PLACE: Final = (0.12, 1.35)
"""Of the microphone, in eye distances from the middle of the eyes."""


@dataclass(frozen=True, slots=True)
class Run:
    """A clip tracked: its faces, and per frame the points that were seen and how likely each was covered."""

    faces: list[Face]
    pixels: list[Float32]
    """(2, P) where the skin points were."""


def evaluate(*, quick: bool) -> dict[str, Any]:
    """Figures of one and of two passes per clip, and their means."""
    tracker = FrameTracker(TrackerConfig(appearance=True))
    area = face_area(tracker.fitted_model)
    rows: dict[str, dict[str, Any]] = {}
    for path in _clips()[: 2 if quick else None]:
        frames = list(frames_of(path, 100 if quick else 150))
        plain = {name: _track(tracker, frames, two) for name, two in (("one pass", False), ("two passes", True))}
        hidden, cover = _with_microphone(frames, plain["one pass"].faces)
        covered = {name: _track(tracker, hidden, two) for name, two in (("one pass", False), ("two passes", True))}
        rows[path.name] = {
            name: _shape(tracker.fitted_model, area, plain[name].faces)
            | _steadiness(plain[name].faces)
            | _occluded(plain[name], covered[name], cover)
            for name in plain
        }
    names = ("one pass", "two passes")
    keys = rows[next(iter(rows))]["one pass"]
    mean = {
        name: {key: round(float(np.mean([row[name][key] for row in rows.values()])), 4) for key in keys}
        for name in names
    }
    return {"mean": mean, **rows}


def _clips() -> list[Path]:
    shared = [SHARED / "clips" / name for name in _SHARED]
    return [sample(name) for name in _SAMPLES] + [path for path in shared if path.is_file()]


def _track(tracker: FrameTracker, frames: Sequence[Frame], two_pass: bool) -> Run:
    tracker.expect(None)
    if two_pass:
        survey = Survey(tracker)
        for frame in frames:
            survey.look(frame)
        tracker.expect(survey.with_skin(survey.enroller.solve(focal_known=True).enrolment))
    run = Run([], [])
    for frame in frames:
        result = tracker.process(frame)
        run.faces.extend(result.faces[:1])
        seen = None if not result.faces else tracker.explained(result.faces[0].id)
        run.pixels.append(np.zeros((2, 0), np.float32) if seen is None else seen.seen.pixels)
    return run


def _with_microphone(frames: Sequence[Frame], faces: Sequence[Face]) -> tuple[list[Frame], list[Float32]]:
    """The clip with a microphone in its first second, and its cover (H, W) in those frames."""
    first = faces[0].landmarks.points
    thing = make("microphone", skin_colour(frames[0].image, first))
    out, cover = list(frames), []
    for index, (frame, face) in enumerate(zip(frames[:FIRST_FRAMES], faces, strict=False)):
        points = face.landmarks.points[:, :2]
        across = points[263] - points[33]
        across = across / np.linalg.norm(across)
        apart = eye_distance(points)
        down = np.array([-across[1], across[0]])
        centre = (points[33] + points[263]) / 2.0 + apart * (_PLACE[0] * across + _PLACE[1] * down)
        image, hidden = thing.composite(frame.image, centre, apart, float(np.arctan2(across[1], across[0])) + 0.12)
        out[index] = replace(frame, image=image)
        cover.append(hidden)
    return out, cover


def _shape(model: FaceModel, area: NDArray[Any], faces: Sequence[Face]) -> dict[str, float]:
    """How far the shape of the face still moves: first second against the last frame, and the whole path."""
    last = model.neutral_vertices(faces[-1].identity)[area]
    off = [_mm(model.neutral_vertices(face.identity)[area], last) for face in faces[:FIRST_FRAMES:3]]
    changes = [
        _mm(model.neutral_vertices(one.identity)[area], model.neutral_vertices(other.identity)[area])
        for one, other in pairwise(faces)
        if one.identity_version != other.identity_version
    ]
    return {
        "first_second_off_final_mm": round(float(np.mean(off)), 3),
        "shape_path_mm": round(float(np.sum(changes)), 3),
    }


def _steadiness(faces: Sequence[Face]) -> dict[str, float]:
    """Second differences of raw values: noise, and shape that moves; in the first second and after."""
    figures = {}
    for name, part in (("first_second", faces[:FIRST_FRAMES]), ("after", faces[FIRST_FRAMES:])):
        weights = np.stack([face.arkit_raw for face in part if face.arkit_raw is not None])
        places = np.stack([face.raw.translation for face in part])
        turns = [matrix_from_rotvec(face.raw.rotation) for face in part]
        steps = np.degrees([rotvec_from_matrix(b @ a.T) for a, b in pairwise(turns)])
        figures[f"{name}_weight_jitter"] = round(float(np.abs(np.diff(weights, n=2, axis=0)).mean()), 4)
        figures[f"{name}_place_jitter_mm"] = round(
            float(np.linalg.norm(np.diff(places, n=2, axis=0), axis=1).mean()) * 1e3, 3
        )
        figures[f"{name}_turn_jitter_deg"] = round(float(np.linalg.norm(np.diff(steps, axis=0), axis=1).mean()), 4)
    return figures


def _occluded(plain: Run, covered: Run, cover: Sequence[Float32]) -> dict[str, float]:
    """The microphone of the first second: points found under it and marked beside it, and how far it drags the face."""
    found, marked = [], []
    for face, pixels, hidden in zip(covered.faces, covered.pixels, cover, strict=False):
        if face.occlusion is None or not pixels.size:
            continue
        visible = face.occlusion.visible
        column, row = pixels[:, visible].astype(int)
        under = hidden[np.clip(row, 0, hidden.shape[0] - 1), np.clip(column, 0, hidden.shape[1] - 1)]
        probability = face.occlusion.points[visible]
        found.append(float((probability[under > 0.8] > 0.5).mean()))
        marked.append(float((probability[under < 0.02] > 0.5).mean()))
    turns, places, weights = [], [], []
    for one, other in zip(plain.faces[:FIRST_FRAMES], covered.faces, strict=False):
        turn = rotvec_from_matrix(matrix_from_rotvec(other.params.rotation) @ matrix_from_rotvec(one.params.rotation).T)
        turns.append(float(np.degrees(np.linalg.norm(turn))))
        places.append(float(np.linalg.norm(other.params.translation - one.params.translation)) * 1e3)
        weights.append(float(np.abs(other.arkit - one.arkit).mean()))
    return {
        "covered_found": round(float(np.mean(found)), 3),
        "covered_found_first_5": round(float(np.mean(found[:5])), 3),
        "plain_marked": round(float(np.mean(marked)), 3),
        "occluded_turn_deg": round(float(np.mean(turns)), 3),
        "occluded_place_mm": round(float(np.mean(places)), 3),
        "occluded_weights": round(float(np.mean(weights)), 4),
    }


def _mm(one: Float32, other: Float32) -> float:
    return float(np.linalg.norm(metrics.aligned(one, other) - other, axis=1).mean() * 1e3)
