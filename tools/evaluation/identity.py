"""Identity: does it hold still within a person, and differ between people?

Each clip is fitted whole, and its two halves apart. Drift is how far the coefficients move after the first second. The halves'
relaxed faces are compared with each other and with other people's, as mean vertex distance after the best similarity.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import enrolled, metrics
from tools.evaluation.clips import SHARED, frames_of
from tools.evaluation.synthetic import face_area
from tools.evaluation.tracking import Encoded, Follower, fit
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.samples import sample

Float32 = NDArray[np.float32]

_SAMPLES: Final = ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
_SHARED: Final = ("talk_d3.mp4", "talk_d6.mp4", "talk_d9.mp4", "webcam_cap13.mp4", "grid_bbaf2n.mpg", "grid_lwbsza.mpg")
_FRAMES: Final = 240
_SETTLING_S: Final = 1.0


def evaluate(
    model: FaceModel, follower: Follower, fit_config: FitConfig | None = None, *, quick: bool = False
) -> dict[str, Any]:
    """Figures over all people."""
    clips = [sample(name) for name in _SAMPLES]
    clips += [path for path in (SHARED / "clips" / name for name in _SHARED) if path.is_file()]
    area = face_area(model)
    people: dict[str, list[Float32]] = {}
    streams: dict[str, list[Encoded]] = {}
    drift, settled_s, norms = [], [], []
    for clip in clips:
        encoded = follower.encode(frames_of(clip, _FRAMES))
        faces = [face for face in fit(model, follower.set_name, encoded, fit_config=fit_config) if face is not None]
        times_s = [seen.t_capture_ns * 1e-9 for seen in encoded if seen.observations]
        if len(faces) < 60:
            continue
        streams[clip.name] = encoded
        final = faces[-1].identity
        late = [face.identity for face, t in zip(faces, times_s, strict=True) if t - times_s[0] > _SETTLING_S]
        drift.append(
            max((float(np.linalg.norm(b - final)) for b in late), default=0.0) / max(float(np.linalg.norm(final)), 1e-9)
        )
        norms.append(float(np.sqrt((final**2).mean())))
        last_change = max(
            i for i, face in enumerate(faces) if i == 0 or face.identity_version != faces[i - 1].identity_version
        )
        settled_s.append(times_s[last_change] - times_s[0])
        half = len(encoded) // 2
        halves = [
            fit(model, follower.set_name, part, fit_config=fit_config) for part in (encoded[:half], encoded[half:])
        ]
        shapes = [next((face.identity for face in reversed(part) if face is not None), None) for part in halves]
        people[clip.name] = [model.neutral_vertices(b)[area] for b in shapes if b is not None]
    within = [_distance_mm(*pair) for pair in people.values() if len(pair) == 2]
    between = [_distance_mm(a[0], b[0]) for a, b in combinations(people.values(), 2)]
    return {
        "people": len(people),
        "coefficient_rms": round(float(np.mean(norms)), 3),
        "drift_after_1s_share": round(float(np.mean(drift)), 3),
        "settled_after_s": round(float(np.median(settled_s)), 2),
        "same_person_mm": round(float(np.mean(within)), 3),
        "different_people_mm": round(float(np.mean(between)), 3),
        "separation": round(float(np.mean(between) / np.mean(within)), 2),
        "enrolled": enrolled.halves(model, follower.set_name, streams),
        "renders": enrolled.renders(model, follower, *((1, 6) if quick else (4, 3))),
    }


def _distance_mm(one: Float32, other: Float32) -> float:
    return float(np.linalg.norm(metrics.aligned(one, other) - other, axis=1).mean() * 1e3)
