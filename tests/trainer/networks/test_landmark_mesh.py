from __future__ import annotations

import numpy as np
import pytest

from tests.toy_model import toy_model
from tracker.errors import ConfigError, FaceModelError
from tracker.face_model.importing.dense_sets import builtin_dense_sets
from tracker.face_model.store import load_face_model
from trainer.networks.landmark_mesh import builtin_mesh, landmark_mesh


@pytest.mark.parametrize("landmark_set", ["dense1609", "dense805", "dense403", "dense202", "dense101"])
def test_finest_level_is_the_landmark_set_in_its_order(landmark_set: str) -> None:
    model = load_face_model()
    mesh = builtin_mesh(landmark_set)
    embedding = builtin_dense_sets()[landmark_set]
    corners = model.faces[embedding.faces]
    vertices = corners[np.arange(len(corners)), embedding.barycentric.argmax(axis=1)]
    np.testing.assert_array_equal(mesh.levels[0].model_vertices, vertices)
    np.testing.assert_array_equal(mesh.levels[0].vertices, model.template[vertices])


def test_levels_shrink_by_the_factor() -> None:
    assert [len(level.vertices) for level in builtin_mesh("dense1609").levels] == [1609, 403, 101, 26]
    assert [len(level.vertices) for level in builtin_mesh("dense1609", 2, 2).levels] == [1609, 805, 403]
    assert [len(level.vertices) for level in builtin_mesh("dense101").levels] == [101, 26]


def test_down_and_up_again_changes_no_vertex_that_was_kept() -> None:
    mesh = builtin_mesh("dense403")
    fine, coarse, sampling = mesh.levels[0], mesh.levels[1], mesh.samplings[0]
    np.testing.assert_array_equal(fine.vertices[sampling.kept], coarse.vertices)
    up = (coarse.vertices[sampling.corners] * sampling.share[..., None]).sum(axis=1)
    np.testing.assert_allclose(up[sampling.kept], coarse.vertices, atol=1e-7)
    np.testing.assert_allclose(sampling.share.sum(axis=1), 1.0, atol=1e-5)
    # Dropped vertices land on the coarser surface, near where they were.
    assert np.linalg.norm(up - fine.vertices, axis=1).max() < 0.01


def test_edges_are_those_of_the_triangles_each_once() -> None:
    mesh = builtin_mesh("dense202")
    edges = mesh.edges()
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert (edges[:, 0] < edges[:, 1]).all()
    assert set(np.unique(edges)) == set(range(202))
    sides = {tuple(sorted((int(f[a]), int(f[b])))) for f in mesh.levels[0].faces for a, b in ((0, 1), (1, 2), (2, 0))}
    assert sides == {tuple(edge) for edge in edges.tolist()}


def test_unknown_sets_and_faceless_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="dense landmark set out of dense1609"):
        landmark_mesh(load_face_model(), "mediapipe478")
    with pytest.raises(FaceModelError, match="no face regions"):
        landmark_mesh(toy_model(), "dense101")
