"""Real-time monocular 3D face tracking."""

__version__ = "0.1.0"
