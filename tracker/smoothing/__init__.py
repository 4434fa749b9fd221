"""Steadying the parameters over time: strong at rest, out of the way in motion."""

from tracker.smoothing.face import FaceSmoother, SmoothingConfig
from tracker.smoothing.stillness import PictureStillness

__all__ = ["FaceSmoother", "PictureStillness", "SmoothingConfig"]
