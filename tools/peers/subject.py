"""What every measured tracker offers. Imported in every environment: needs numpy and nothing else."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

MODEL_VARIABLE: Final = "FACE_LANDMARKER_TASK"
"""Environment variable that names the file ``face_landmarker.task`` to a peer's process."""

PRECISION_VARIABLE: Final = "BENCH_PRECISION"
"""Environment variable that sets the precision of our networks."""


@dataclass(slots=True)
class Seen:
    """One face as a subject reports it; None for what it does not report."""

    landmarks: NDArray[np.float32]
    """(N, 3) pixels of the image (pixel centres at .5), depth in pixels."""
    scores: NDArray[np.float32] | None = None
    """(52,) expression weights in ARKit order."""
    rotation: NDArray[np.float32] | None = None
    """(3, 3) head axes to OpenCV camera axes."""
    translation: NDArray[np.float32] | None = None
    """(3,) metres."""


class Subject(Protocol):
    """A tracker that is fed frames in order."""

    def reset(self) -> None:
        """Start a new stream."""
        ...

    def process(self, image: NDArray[np.uint8], t_ms: int) -> Any:
        """Everything that the subject does for a frame, RGB uint8 (H, W, 3): this is what is timed. None: no face."""
        ...

    def seen(self, result: Any) -> Seen:
        """The face in a result that is not None; not timed."""
        ...


SUBJECTS: Final = {
    "tracker": ("tools.peers.own", "this tracker: detect, 478 points, 52 scores, fit, smooth, publish"),
    "face_landmarker": ("tools.peers.face_landmarker", "MediaPipe Tasks FaceLandmarker, blendshapes + matrix"),
    "facemesh": ("tools.peers.facemesh", "MediaPipe FaceMesh, refine_landmarks=True"),
}
"""Name -> module with a class ``Measured``, and what it is."""


def create(name: str) -> Subject:
    """Load a subject in this process."""
    subject: Subject = importlib.import_module(SUBJECTS[name][0]).Measured()
    return subject
