from __future__ import annotations

import numpy as np
import pytest

from trainer.networks.landmark_mesh import builtin_mesh
from trainer.networks.spirals import spirals


def hexagons() -> tuple[np.ndarray, np.ndarray]:
    """A centre, a ring of 6 and a ring of 12 around it, in the plane, seen from +z counter-clockwise."""
    ring = [(np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3 + np.pi / 2]
    outer = [(2 * np.cos(a), 2 * np.sin(a)) for a in np.arange(12) * np.pi / 6 + np.pi / 2]
    vertices = np.array([(0, 0), *ring, *outer], float)
    faces = []
    for i in range(6):
        one, two = 1 + i, 1 + (i + 1) % 6
        out = [7 + (2 * i + k) % 12 for k in range(3)]
        faces += [(0, one, two), (one, out[0], out[1]), (one, out[1], two), (two, out[1], out[2])]
    return np.column_stack([vertices, np.zeros(len(vertices))]), np.array(faces)


def test_a_spiral_goes_around_ring_by_ring_from_the_top() -> None:
    vertices, faces = hexagons()
    walk = spirals(vertices, faces, 19)[0]
    assert walk[0] == 0
    np.testing.assert_array_equal(walk[1:7], [1, 2, 3, 4, 5, 6])
    assert set(walk[7:]) == set(range(7, 19))


def test_dilation_takes_every_nth_entry() -> None:
    vertices, faces = hexagons()
    whole = spirals(vertices, faces, 9)
    np.testing.assert_array_equal(spirals(vertices, faces, 5, dilation=2), whole[:, ::2])


def test_borders_are_walked_from_one_end_to_the_other_and_short_meshes_are_filled_up() -> None:
    vertices = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (-1, 0, 0), (9, 9, 0), (5, 5, 0)], float)
    walk = spirals(vertices, np.array([(0, 1, 2), (0, 2, 3)]), 6)[0]
    np.testing.assert_array_equal(walk, [0, 1, 2, 3, 5, 4])


def test_the_face_has_spirals_without_repeats_the_same_each_time() -> None:
    mesh = builtin_mesh("dense403")
    level = mesh.levels[0]
    once = spirals(level.vertices, level.faces, 9, 2)
    assert once.shape == (403, 9)
    assert all(len(set(row)) == 9 for row in once.tolist())
    np.testing.assert_array_equal(once[:, 0], np.arange(403))
    np.testing.assert_array_equal(once, spirals(level.vertices, level.faces, 9, 2))
    # Ring neighbours really are neighbours.
    edges = {tuple(edge) for edge in mesh.edges().tolist()}
    ring = spirals(level.vertices, level.faces, 3)
    assert all(tuple(sorted((row[0], row[1]))) in edges for row in ring.tolist())


@pytest.mark.parametrize(("length", "dilation"), [(0, 1), (3, 0), (11, 2)])
def test_impossible_spirals_are_refused(length: int, dilation: int) -> None:
    vertices, faces = hexagons()
    with pytest.raises(ValueError, match="expected spirals"):
        spirals(vertices, faces, length, dilation)
