"""The fast rasteriser against a plain per-pixel reference."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.rendering.rasterizer import rasterize


def reference(points, depth, faces, width, height, cull_back=True):
    """Test every pixel centre against every triangle: nearest triangle and its 1/z, centres on an edge marked as doubtful."""
    nearest = np.zeros((height, width))
    winner = np.full((height, width), -1)
    doubtful = np.zeros((height, width), bool)
    for index, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = points[face]
        area2 = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area2 == 0.0 or (cull_back and area2 > 0.0):
            continue
        for row in range(height):
            for column in range(width):
                x, y = column + 0.5, row + 0.5
                weights = (
                    np.array(
                        [
                            (bx - x) * (cy - y) - (by - y) * (cx - x),
                            (cx - x) * (ay - y) - (cy - y) * (ax - x),
                            (ax - x) * (by - y) - (ay - y) * (bx - x),
                        ]
                    )
                    / area2
                )
                if (np.abs(weights) < 1e-9).any() and (weights > -1e-9).all():
                    doubtful[row, column] = True
                if (weights > 0).all():
                    inverse = float(weights @ (1.0 / depth[face]))
                    if inverse > nearest[row, column]:
                        nearest[row, column], winner[row, column] = inverse, index
    return winner, nearest, doubtful


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cull_back", [True, False])
def test_random_triangles_match_reference(seed, cull_back):
    rng = np.random.default_rng(seed)
    width, height = 19, 13
    points = rng.uniform(-6.0, 24.0, (30, 2))
    depth = rng.uniform(0.3, 3.0, 30)
    faces = rng.integers(0, 30, (25, 3)).astype(np.int32)
    raster = rasterize(points, depth, faces, width, height, cull_back=cull_back)
    winner, nearest, doubtful = reference(points, depth, faces, width, height, cull_back)

    found = np.full(width * height, -1)
    found[raster.pixel] = raster.face
    found = found.reshape(height, width)
    assert (winner >= 0).sum() > 20
    assert np.array_equal(found[~doubtful], winner[~doubtful])
    np.testing.assert_allclose(
        raster.inverse_depth.reshape(height, width)[~doubtful], nearest[~doubtful], rtol=2e-5, atol=2e-6
    )


def test_interpolation_is_perspective_correct():
    rng = np.random.default_rng(1)
    corners = np.array([[-0.4, -0.3, 0.5], [0.5, -0.2, 1.5], [0.0, 0.4, 0.8]])
    colours = rng.uniform(0.0, 1.0, (3, 4))
    focal, width, height = 40.0, 64, 48
    points = corners[:, :2] / corners[:, 2:] * focal + [width / 2, height / 2]
    raster = rasterize(points, corners[:, 2], np.array([[0, 1, 2]], np.int32), width, height, cull_back=False)
    assert len(raster.pixel) > 300
    # Intersect each pixel's ray with the triangle's plane in 3D.
    x = (raster.pixel % width + 0.5 - width / 2) / focal
    y = (raster.pixel // width + 0.5 - height / 2) / focal
    rays = np.stack([x, y, np.ones_like(x)], axis=1)
    weights = np.linalg.solve(corners.T, rays.T).T
    weights /= weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(raster.interpolate(colours), weights @ colours, atol=2e-4)


def test_neighbours_neither_overlap_nor_leave_gaps():
    # A grid with corners on pixel centres and edges through them: every pixel of its inside must be hit exactly once.
    rng = np.random.default_rng(2)
    side = 9
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * 3.0 + 2.5
    inner = (grid > 2.5).all(axis=1) & (grid < 2.5 + 3.0 * (side - 1)).all(axis=1)
    grid[inner] += np.round(rng.uniform(-1, 1, (inner.sum(), 2)) * 2) / 2
    cell = np.arange(side * side).reshape(side, side)
    a, b, c, d = cell[:-1, :-1].ravel(), cell[:-1, 1:].ravel(), cell[1:, 1:].ravel(), cell[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)]).astype(np.int32)
    hits = np.zeros(32 * 32, int)
    for face in faces:
        hits[rasterize(grid, np.ones(len(grid)), face[None], 32, 32, cull_back=False).pixel] += 1
    # The grid spans [2.5, 26.5] both ways: columns and rows 2..25, the right and lower border belonging to nobody.
    expected = np.zeros((32, 32), int)
    expected[2:26, 2:26] = 1
    assert np.array_equal(hits.reshape(32, 32), expected)


def test_pixel_centres_are_at_one_half():
    square = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 2.0], [1.0, 2.0]])
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
    raster = rasterize(square, np.ones(4), faces, 5, 4)
    assert raster.pixel.tolist() == [6, 7]
    x = raster.interpolate(square)[:, 0]
    np.testing.assert_allclose(x, [1.5, 2.5], atol=1e-5)


def test_nearer_surface_hides_the_farther_one():
    near_and_far = np.array([[0, 0], [8, 0], [0, 8], [0, 0], [8, 0], [0, 8]], float)
    depth = np.array([2.0, 2, 2, 1, 1, 1])
    faces = np.array([[3, 5, 4], [0, 2, 1]], np.int32)
    raster = rasterize(near_and_far, depth, faces, 8, 8)
    assert set(raster.face.tolist()) == {0}
    assert raster.depth_at(np.array([[1.5, 1.5]]))[0] == pytest.approx(1.0)
    assert np.isinf(raster.depth_at(np.array([[7.9, 7.9], [-1.0, 3.0], [3.0, 100.0]]))).all()


def test_mesh_behind_camera_or_outside_image_draws_nothing():
    points = np.array([[1.0, 1.0], [1.0, 6.0], [6.0, 1.0]])
    faces = np.array([[0, 1, 2]], np.int32)
    assert len(rasterize(points, np.array([1.0, 1.0, -1.0]), faces, 8, 8).pixel) == 0
    assert len(rasterize(points + 100, np.ones(3), faces, 8, 8).pixel) == 0
    assert not rasterize(points + 100, np.ones(3), faces, 8, 8).mask.any()
    assert len(rasterize(points, np.ones(3), faces[:0], 8, 8).pixel) == 0
