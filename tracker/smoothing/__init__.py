"""Steadying the parameters over time: strong at rest, out of the way in motion."""

from tracker.smoothing.face import FaceSmoother, SmoothingConfig

__all__ = ["FaceSmoother", "SmoothingConfig"]
