"""What encoders cost: milliseconds for a face on one thread, encoders interleaved, and what a process grows by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from tools.evaluation.clips import frames_of
from tracker.config import EncoderName, Precision
from tracker.landmarks import LandmarkEncoder, create_encoder
from tracker.landmarks.crop import roi_around
from tracker.samples import sample

_ROUNDS: Final = 150
_PRECISIONS: Final[tuple[Precision, ...]] = ("f32", "bf16")
_MEMORY: Final = """
import json, sys
from tools.evaluation.encoder_cost import grown_mb
print(json.dumps(grown_mb(sys.argv[1], sys.argv[2])))
"""


def evaluate(names: Sequence[EncoderName]) -> dict[str, Any]:
    """Per encoder and precision: median milliseconds of ``encode``, and megabytes that loading and running it adds."""
    image = next(iter(frames_of(sample("single_face.jpg")))).image
    ready: dict[tuple[EncoderName, Precision], LandmarkEncoder] = {}
    for name in names:
        for precision in _PRECISIONS:
            ready[name, precision] = create_encoder(name, 1, precision)
    box = _face(image)
    times: dict[tuple[EncoderName, Precision], list[float]] = {key: [] for key in ready}
    for _ in range(_ROUNDS):
        for key, encoder in ready.items():
            start = perf_counter()
            encoder.encode(image, box)
            times[key].append((perf_counter() - start) * 1e3)
    return {
        name: {
            **{f"{p}_ms": round(float(np.median(times[name, p][20:])), 2) for p in _PRECISIONS},
            **{f"{p}_mb": _memory(name, p) for p in _PRECISIONS},
        }
        for name in names
    }


def grown_mb(name: EncoderName, precision: Precision) -> float:
    """Resident memory that an encoder adds to this process, megabytes."""
    image = next(iter(frames_of(sample("single_face.jpg")))).image
    import openvino  # noqa: F401 - counted for no encoder

    before = _resident_mb()
    encoder = create_encoder(name, 1, precision)
    roi = roi_around(np.array([[0.0, 0.0], [200.0, 200.0]]), np.array([50.0, 50.0]), np.array([150.0, 50.0]))
    for _ in range(5):
        encoder.encode(image, roi)
    return round(_resident_mb() - before, 1)


def _face(image: Any) -> Any:
    from tools.evaluation.tracking import Follower

    (seen,) = Follower().encode_images([image] * 3)[-1].observations
    points = seen.landmarks.points
    return roi_around(points, points[33], points[263])


def _memory(name: str, precision: str) -> float | None:
    """In a process of its own; None where the system does not tell."""
    if not Path("/proc/self/statm").is_file():
        return None
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, name, precision],
        capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6
