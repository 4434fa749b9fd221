"""Where the evaluations' pictures come from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.samples import sample
from tracker.sources.open import open_source
from tracker.types import Frame

SHARED: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Development data beside the checkout; everything that uses it does without where it is absent."""
SAMPLE_CLIPS: Final = (
    "single_face.mp4", "WolfgangLanger_Pexels.mp4", "face_noface.mov", "noface_face.mov", "no_face.mp4",
)  # fmt: skip
_BENCH_SAMPLES: Final = ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
_BENCH_SHARED: Final = ("talk_d3.mp4", "talk_d9.mp4", "webcam_cap13.mp4")


def default_bench_clips() -> list[Path]:
    """Talking faces for timing: two samples, and three clips of the development data where it is."""
    clips = [sample(name) for name in _BENCH_SAMPLES]
    return clips + [path for path in (SHARED / "clips" / name for name in _BENCH_SHARED) if path.is_file()]


def all_clips() -> list[Path]:
    """Every clip at hand: the samples, and those of the development data that are not among them."""
    clips = [sample(name) for name in SAMPLE_CLIPS]
    known = {path.name for path in clips}
    shared = sorted((SHARED / "clips").glob("*.*")) if (SHARED / "clips").is_dir() else []
    return clips + [path for path in shared if path.name not in known]


def frames_of(clip: Path, limit: int | None = None) -> Iterator[Frame]:
    """The frames of a clip, at most ``limit``. Raises SourceError."""
    with open_source(str(clip)) as source:
        yield from islice(source, limit)


def load_frames(clip: Path, seconds: float) -> tuple[NDArray[np.uint8], float]:
    """The first ``seconds`` of a clip as (N, H, W, 3) and its frame rate. Raises SourceError."""
    with open_source(str(clip)) as source:
        fps = float(source.rate or 30)
        return np.stack([frame.image for frame in islice(source, max(1, round(seconds * fps)))]), fps


def eye_distance(points: NDArray[np.floating]) -> float:
    """Distance of the outer eye corners in mediapipe478 points (478, >=2)."""
    return float(np.linalg.norm(points[33, :2] - points[263, :2]))
