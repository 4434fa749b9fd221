"""Inputs for networks that take a picture of a face or its landmarks: noise, and real ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

NETWORKS = (
    "face_blendshapes.tflite",
    "face_detection_full_range_sparse.tflite",
    "face_detector.tflite",
    "face_landmark.tflite",
    "face_landmarks_detector.tflite",
    "iris_landmark.tflite",
)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def real(shape: tuple[int, ...], still: Path) -> np.ndarray:
    """A still as a network of this input shape sees it: (1, H, W, 3) in 0..1, or points (1, N, 2) along a face's oval."""
    if len(shape) == 3:
        angle = np.linspace(0, 2 * np.pi, shape[1], endpoint=False)
        radius = 90 + 20 * np.cos(7 * angle)
        return np.stack([128 + radius * np.cos(angle), 128 + 1.3 * radius * np.sin(angle)], -1)[None].astype(np.float32)
    picture = cv2.cvtColor(cv2.imread(str(still)), cv2.COLOR_BGR2RGB)
    return cv2.resize(picture, shape[2:0:-1], interpolation=cv2.INTER_AREA)[None].astype(np.float32) / 255


def relative_difference(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest value, at least one: outputs that mean zero are not measured by themselves."""
    assert got.size == expected.size
    return float(np.abs(got.ravel() - expected.ravel()).max() / max(np.abs(expected).max(), 1.0))
