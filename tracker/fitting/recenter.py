"""Recentering: a virtual camera straight in front of the pose that the user declared to be neutral."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

FRONTAL = np.diag([1.0, -1.0, -1.0])
"""Head axes to camera axes of a face that looks into the camera."""


class Recenter:
    """Moves published head poses so that the reference pose becomes: centred, looking into the camera, at its old distance.

    It changes ``head.position`` and ``head.quaternion`` only; the model's own parameters stay in the real camera's frame.
    """

    def __init__(self) -> None:
        self._rotation: Float64 = np.eye(3)
        self._offset: Float64 = np.zeros(3)

    def set_reference(self, position: NDArray[np.floating], rotation: NDArray[np.floating]) -> None:
        """Declare a head pose, position (3,) in metres and rotation (3, 3) in the real camera's frame, to be neutral."""
        position = np.asarray(position, np.float64)
        self._rotation = FRONTAL @ np.asarray(rotation, np.float64).T
        self._offset = np.array([0.0, 0.0, np.linalg.norm(position)]) - self._rotation @ position

    def __call__(self, position: Float64, rotation: Float64) -> tuple[Float64, Float64]:
        """The pose as the virtual camera sees it."""
        return self._rotation @ position + self._offset, self._rotation @ rotation
