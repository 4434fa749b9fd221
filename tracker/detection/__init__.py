"""Find faces in pictures and follow them through a stream."""

from __future__ import annotations

from tracker.detection.detector import Detector, FaceDetector
from tracker.detection.follow import FaceFollower

__all__ = ["Detector", "FaceDetector", "FaceFollower"]
