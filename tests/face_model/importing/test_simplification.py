from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tracker.face_model import FaceModel
from tracker.face_model.importing.dense_sets import COUNTS, dense_embeddings, face_triangles, with_dense_sets
from tracker.face_model.importing.simplification import sampling_matrices, simplify


def _grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(0, 1, n))
    points = np.stack([x.ravel(), y.ravel(), 0.3 * np.cos(2 * x).ravel()], axis=1)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    return points, np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])


def test_levels_are_nested_subsets_on_the_surface() -> None:
    points, faces = _grid(15)
    fine, coarse = simplify(points, faces, [100, 40])
    assert len(fine.kept) == 100 and len(coarse.kept) == 40
    assert set(coarse.kept) < set(fine.kept)
    corners = points[fine.kept][fine.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    whole = points[faces]
    truth = np.linalg.norm(np.cross(whole[:, 1] - whole[:, 0], whole[:, 2] - whole[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(truth, rel=0.02)
    # The corners of the sheet are where its border bends: none may go.
    assert {0, 14, 210, 224} <= set(coarse.kept.tolist())


def test_a_flat_region_gives_way_before_a_bend() -> None:
    points, faces = _grid(15)
    points[:, 2] = np.abs(points[:, 0])
    kept = simplify(points, faces, [30])[0].kept
    assert np.mean(np.abs(points[kept, 0]) < 1e-9) > 2 / 15


def test_upsampling_reproduces_linear_fields() -> None:
    pytest.importorskip("scipy", reason="nearest triangles need scipy")
    points, faces = _grid(15)
    points[:, 2] = 0.0
    coarse = simplify(points, faces, [40])[0]
    (rows, columns, values), (up_rows, up_columns, up_values) = sampling_matrices(points, coarse)
    down, up = np.zeros((40, 225)), np.zeros((225, 40))
    np.add.at(down, (rows, columns), values)
    np.add.at(up, (up_rows, up_columns), up_values)
    field = points @ [1.0, 2.0, 0.0] + 3.0
    np.testing.assert_allclose(up @ (down @ field), field, atol=1e-9)
    np.testing.assert_allclose(down @ up, np.eye(40), atol=1e-12)


def test_edges_of_three_triangles_do_no_harm() -> None:
    points, faces = _grid(8)
    fin = np.array([[0, 1, 40], [9, 10, 50]])
    level = simplify(points, np.concatenate([faces, fin]), [30])[0]
    assert len(level.kept) >= 30
    assert (level.faces < len(level.kept)).all()
    assert all(len(set(face)) == 3 for face in level.faces.tolist())


@pytest.mark.parametrize("counts", [[300], [50, 60], [2]])
def test_counts_that_cannot_be_are_refused(counts: list[int]) -> None:
    points, faces = _grid(15)
    with pytest.raises(ValueError, match="falling counts"):
        simplify(points, faces, counts)


def test_dense_sets_of_the_builtin_head(head: FaceModel) -> None:
    sets = dense_embeddings(head)
    assert list(sets) == [f"dense{count}" for count in COUNTS]
    vertices = {}
    for name, embedding in sets.items():
        assert (embedding.barycentric.max(axis=1) == 1.0).all()
        rows = np.arange(len(embedding.faces))
        ids = head.faces[embedding.faces[rows], embedding.barycentric.argmax(axis=1)]
        vertices[name] = set(ids.tolist())
        assert len(vertices[name]) == int(name.removeprefix("dense"))
        symmetric = np.mean([int(head.mirror[i]) in vertices[name] for i in ids])
        assert symmetric > 0.97
    names = list(sets)
    assert all(vertices[small] < vertices[large] for large, small in pairwise(names))
    face = set(np.unique(head.faces[face_triangles(head)]).tolist())
    assert all(ids <= face for ids in vertices.values())


def test_dense_sets_are_spread(head: FaceModel) -> None:
    model = with_dense_sets(head, (403,))
    points = model.landmarks(model.template, "dense403")
    face = model.template[np.unique(model.faces[face_triangles(model)])]
    reach = np.linalg.norm(face[:, None] - points[None], axis=2).min(axis=1)
    assert reach.max() < 0.016
    assert "mediapipe478" in model.embeddings
