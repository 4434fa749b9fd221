"""The virtual camera of recentering."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.fitting.recenter import FRONTAL, Recenter
from tracker.rotations import angle_between, matrix_from_rotvec


def pose(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal((0.0, 0.0, 0.7), 0.1), matrix_from_rotvec(rng.normal(0, 0.4, 3)) @ FRONTAL


def test_without_a_reference_poses_pass_unchanged():
    position, rotation = pose(0)
    moved, turned = Recenter()(position, rotation)
    assert np.array_equal(moved, position) and np.array_equal(turned, rotation)


def test_the_reference_looks_into_the_camera_from_its_own_distance():
    position, rotation = pose(1)
    recenter = Recenter()
    recenter.set_reference(position, rotation)
    moved, turned = recenter(position, rotation)
    assert moved == pytest.approx([0.0, 0.0, np.linalg.norm(position)])
    assert turned == pytest.approx(FRONTAL)


def test_motion_keeps_its_size_and_stays_rigid():
    recenter = Recenter()
    recenter.set_reference(*pose(2))
    (p1, r1), (p2, r2) = pose(3), pose(4)
    (q1, s1), (q2, s2) = recenter(p1, r1), recenter(p2, r2)
    assert np.linalg.norm(q2 - q1) == pytest.approx(np.linalg.norm(p2 - p1))
    assert angle_between(s1, s2) == pytest.approx(angle_between(r1, r2))
    # A point of the head moves with it: the same rigid motion of the camera applies to all.
    point = np.array([0.03, -0.02, 0.05])
    assert np.linalg.norm((s1 @ point + q1) - (s2 @ point + q2)) == pytest.approx(
        np.linalg.norm((r1 @ point + p1) - (r2 @ point + p2))
    )
