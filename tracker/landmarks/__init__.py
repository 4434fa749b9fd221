"""From a face in the picture to landmarks with uncertainty: the encoders."""

from __future__ import annotations

from tracker.landmarks.crop import Roi
from tracker.landmarks.encoder import Encoded, LandmarkEncoder, create_encoder

__all__ = ["Encoded", "LandmarkEncoder", "Roi", "create_encoder"]
