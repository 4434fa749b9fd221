"""MediaPipe's older FaceMesh solution with refined landmarks (attention mesh)."""

from __future__ import annotations

from typing import Any

import mediapipe as mp
import numpy as np
from numpy.typing import NDArray

from tools.peers.subject import Seen


class Measured:
    """One face, tracking between detections."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mesh = mp.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)

    def process(self, image: NDArray[np.uint8], t_ms: int) -> Any:
        result = self._mesh.process(image)
        self._size = image.shape[1::-1]
        return result if result.multi_face_landmarks else None

    def seen(self, result: Any) -> Seen:
        width, height = self._size
        points = result.multi_face_landmarks[0].landmark
        return Seen(np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32))
