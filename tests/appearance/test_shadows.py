"""Shadows of the head on itself, on shapes whose shadows are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.appearance.test_light import sphere
from tracker.appearance.light import sh_basis
from tracker.appearance.shadows import sh_rotation, shadow_transfer, turned
from tracker.face_model import load_face_model
from tracker.face_model.normals import vertex_normals
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]


def ball(count: int = 4000) -> tuple[Float32, Float32]:
    """Points and normals (N, 3) of a sphere as large as a head."""
    normals = np.ascontiguousarray(sphere(count).T)
    return (0.1 * normals).astype(np.float32), normals


def test_nothing_hides_a_convex_surface() -> None:
    points, normals = ball()
    assert np.abs(shadow_transfer(points, normals, points)).max() < 0.02


def test_a_wall_takes_half_of_the_light() -> None:
    # The foot of a wall sees half of the sky: half of an even light, and the part that comes from the open side.
    side = np.linspace(-0.2, 0.2, 120, dtype=np.float32)
    wall = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    wall = np.column_stack([np.full(len(wall), 0.02, np.float32), wall])
    foot = np.array([[0.0, 0.0, -0.15]], np.float32)
    up = np.array([[0.0, 0.0, 1.0]], np.float32)
    harmonics = (sh_basis(up.T) + shadow_transfer(foot, up, wall))[:, 0]
    even = harmonics[0] / sh_basis(up.T)[0, 0]
    assert 0.45 < even < 0.62
    from_the_left, from_the_right = -harmonics[3], harmonics[3]
    assert from_the_left > 0.1 and from_the_right < -0.1


def test_sockets_and_the_nose_are_shaded_and_the_forehead_is_not() -> None:
    model = load_face_model()
    normals = vertex_normals(model.template, model.faces)
    transfer = shadow_transfer(model.template, normals, model.template)
    open_sky = 1.0 + transfer[0] / sh_basis(np.array([[0.0], [0.0], [1.0]], np.float32))[0, 0]
    corners = model.landmarks(model.template, "ibug68")

    def around(place: Float32, radius_m: float) -> float:
        near = (np.linalg.norm(model.template - place, axis=1) < radius_m) & (model.skin_mask > 0.5)
        return float(open_sky[near].mean())

    inner_eye, nose_tip, forehead = corners[39], corners[30], corners[27] + np.array([0.0, 0.045, 0.0])
    assert around(inner_eye, 0.008) < 0.85
    assert around(nose_tip, 0.006) > 0.97
    assert around(forehead, 0.010) > 0.97


def test_transfers_turn_with_the_head() -> None:
    rotation = matrix_from_rotvec(np.array([0.3, -0.7, 0.2])).astype(np.float32)
    normals = sphere(50)
    np.testing.assert_allclose(sh_rotation(rotation) @ sh_basis(normals), sh_basis(rotation @ normals), atol=1e-5)
    transfer = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    back = turned(turned(transfer, rotation), rotation.T)
    np.testing.assert_allclose(back, transfer, atol=1e-4)
