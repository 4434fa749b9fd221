"""MediaPipe Tasks' FaceLandmarker as its documentation sets it up for video, with everything on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
from numpy.typing import NDArray

from tools.peers.subject import MODEL_VARIABLE, Seen
from tracker.arkit import ARKIT_NAMES

# OpenGL camera axes (y up, looking along -z) to OpenCV's; the canonical face's axes are our head axes already.
_GL_TO_CV = np.diag([1.0, -1.0, -1.0])


class Measured:
    """One face, video mode."""

    def __init__(self) -> None:
        self._model = Path(os.environ[MODEL_VARIABLE]).read_bytes()
        self.reset()

    def reset(self) -> None:
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=self._model),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def process(self, image: NDArray[np.uint8], t_ms: int) -> Any:
        result = self._landmarker.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=image), t_ms)
        self._size = image.shape[1::-1]
        return result if result.face_landmarks else None

    def seen(self, result: Any) -> Seen:
        width, height = self._size
        points = np.array([(p.x * width, p.y * height, p.z * width) for p in result.face_landmarks[0]], np.float32)
        scores = {score.category_name: score.score for score in result.face_blendshapes[0]}
        matrix = np.asarray(result.facial_transformation_matrixes[0], np.float64)
        left, _, right = np.linalg.svd(_GL_TO_CV @ matrix[:3, :3])
        return Seen(
            points,
            np.array([scores.get(name, 0.0) for name in ARKIT_NAMES], np.float32),
            (left @ right).astype(np.float32),
            (_GL_TO_CV @ matrix[:3, 3] * 0.01).astype(np.float32),
        )
