from __future__ import annotations

import numpy as np
import pytest

from tracker.errors import FaceModelError
from tracker.face_model import load_face_model
from tracker.face_model.head_points import HEAD_SET, head_point_vertices, landmark_embedding


def test_the_whole_head_is_covered_evenly_and_symmetrically():
    model = load_face_model()
    embedding = landmark_embedding(model, HEAD_SET)
    assert len(embedding.faces) == 628
    chosen = np.array(head_point_vertices())
    assert len(set(chosen.tolist())) == 150
    assert set(model.mirror[chosen].tolist()) == set(chosen.tolist())
    points = model.template[chosen]
    names = {name: model.regions[chosen, k].sum() for k, name in enumerate(model.region_names)}
    assert names["ear_left"] == names["ear_right"] >= 12 and names["scalp"] >= 40 and names["neck"] >= 10
    distance = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(150)
    assert distance.min() > 0.004


def test_the_face_comes_first_and_is_unchanged():
    model = load_face_model()
    whole, face = landmark_embedding(model, HEAD_SET), model.embedding("mediapipe478")
    np.testing.assert_array_equal(whole.faces[:478], face.faces)
    np.testing.assert_allclose(whole.barycentric.sum(axis=1), 1.0, atol=1e-6)


def test_unknown_sets_are_refused():
    with pytest.raises(FaceModelError, match="has no embedding 'dense7'"):
        landmark_embedding(load_face_model(), "dense7")
