"""Spherical harmonics light."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.appearance.light import exposure_of, sh_basis, shade, solve_light, white_balance_of

LIGHT = np.random.default_rng(3).normal(0, 0.2, (9, 3)) + np.eye(9)[:, :1] * 2.0


def sphere(count: int, *, front: bool = False) -> np.ndarray:
    directions = np.random.default_rng(1).normal(size=(3, count))
    directions /= np.linalg.norm(directions, axis=0)
    if front:
        directions[2] = -np.abs(directions[2])
    return directions.astype(np.float32)


def test_the_harmonics_are_orthonormal() -> None:
    basis = sh_basis(sphere(200_000))
    np.testing.assert_allclose(basis @ basis.T * (4 * np.pi / 200_000), np.eye(9), atol=0.02)


def test_a_known_light_is_found_again() -> None:
    basis = sh_basis(sphere(2000))
    found = solve_light(basis, (LIGHT.T @ basis).astype(np.float32), np.ones(2000, np.float32), LIGHT, 0.02)
    np.testing.assert_allclose(found, LIGHT, atol=0.02)


def test_half_a_sphere_is_explained_although_it_leaves_light_open() -> None:
    basis = sh_basis(sphere(2000, front=True))
    seen = (LIGHT.T @ basis).astype(np.float32)
    found = solve_light(basis, seen, np.ones(2000, np.float32), None, 0.02)
    misfit = found.T @ basis - seen
    assert np.sqrt((misfit**2).mean()) < 0.02 * seen.mean()
    assert np.abs(found).max() < 3 * np.abs(LIGHT).max()


def test_weights_leave_out_what_they_are_zero_for() -> None:
    basis = sh_basis(sphere(1000))
    seen = (LIGHT.T @ basis).astype(np.float32)
    weight = np.ones(1000, np.float32)
    seen[:, :300] = 9.0
    weight[:300] = 0.0
    np.testing.assert_allclose(solve_light(basis, seen, weight, LIGHT, 0.02), LIGHT, atol=0.02)


def test_even_white_light_of_one_has_exposure_one() -> None:
    sh = np.zeros((9, 3))
    sh[0] = np.sqrt(4 * np.pi)
    assert exposure_of(sh) == pytest.approx(1.0)
    np.testing.assert_allclose(white_balance_of(sh), 1.0)
    np.testing.assert_allclose(shade(sphere(10), sh), 1.0, rtol=1e-5)
    np.testing.assert_allclose(white_balance_of(sh * [2.0, 1.0, 0.5]) @ [0.2126, 0.7152, 0.0722], 1.0, rtol=1e-6)
