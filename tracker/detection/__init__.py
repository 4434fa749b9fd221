"""Find faces in pictures and follow them through a stream."""

from __future__ import annotations

from tracker.detection.blazeface import BlazeFace

__all__ = ["BlazeFace"]
