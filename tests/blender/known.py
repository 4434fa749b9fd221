"""What the tests' face does in each frame: both the publisher and the tests inside Blender work it out from here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

RATE = Fraction(30000, 1001)
FIRST_NS = 123_456_789
SIZE = (640, 360)


def arkit(index: int) -> NDArray[np.float32]:
    """(52,) different in every frame and entry."""
    return (0.5 + 0.5 * np.sin(0.05 * index + np.arange(52))).astype(np.float32)


def rotvec_turn(index: int) -> NDArray[np.float64]:
    """(3,) axis-angle of the turn away from looking into the camera, in head axes."""
    return np.array([0.2, -0.3, 0.1]) * np.sin(0.07 * index)


def position(index: int) -> NDArray[np.float32]:
    """(3,) metres in camera axes."""
    return np.array([0.05 * np.sin(0.1 * index), -0.02, 0.6], np.float32)


def gaze(index: int) -> NDArray[np.float32]:
    """(2, 2) yaw, pitch of both eyes."""
    return np.array([[0.2, 0.1], [0.15, 0.1]], np.float32) * np.float32(np.cos(0.1 * index))


def t_capture_ns(index: int) -> int:
    return FIRST_NS + round(index / RATE * 1_000_000_000)


def identity(count: int) -> NDArray[np.float32]:
    """(count,) the person's coefficients."""
    return (1.5 * np.sin(np.arange(count))).astype(np.float32)
