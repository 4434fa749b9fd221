from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="registration needs scipy")

from tests.stranger import Stranger
from tracker.errors import FaceModelError
from tracker.face_model import FaceModel
from tracker.face_model.importing.registration import Correspondence, Viewer, register
from tracker.face_model.importing.registration.head_template import head_template
from tracker.face_model.importing.registration.similarity import Similarity, align, align_robustly
from tracker.face_model.importing.registration.surface import Surface, components, edges_of
from tracker.rotations import matrix_from_rotvec

FACE = (
    "forehead",
    "brow_left",
    "brow_right",
    "eye_left",
    "eye_right",
    "nose",
    "cheek_left",
    "cheek_right",
    "mouth",
    "chin",
)


def test_stranger_is_registered_vertex_by_vertex(
    head: FaceModel, stranger: Stranger, registered: Correspondence
) -> None:
    template = head_template()
    on_mesh = registered.builtin_on_mesh
    reached = on_mesh.carry(stranger.vertices, stranger.faces)
    truth = stranger.vertices[np.argsort(stranger.order)]
    error_mm = 10.0 * np.linalg.norm(reached - truth, axis=1)[template.vertex_ids]
    face = template.region(*FACE)
    mean_face = align(head.template[template.vertex_ids][face], stranger.shape_m[template.vertex_ids][face])
    baseline = np.linalg.norm(
        mean_face.apply(head.template[template.vertex_ids][face]) - stranger.shape_m[template.vertex_ids][face], axis=1
    )
    # Sliding along smooth skin is what remains; the surfaces themselves lie within a few tenths of a millimetre.
    assert error_mm[face].mean() < 2.6
    assert error_mm[face].mean() < 0.8 * 1e3 * baseline.mean()
    assert np.nanmedian(registered.distance_m) < 0.0003
    assert on_mesh.valid[template.vertex_ids][face].mean() > 0.9


def test_scale_and_place_are_found(head: FaceModel, stranger: Stranger, registered: Correspondence) -> None:
    assert registered.to_builtin.scale == pytest.approx(0.01, rel=0.15)
    eyes = registered.to_builtin.apply(100.0 * head.joint_template[3:5] + [3.0, -7.0, 11.0])
    assert np.abs(eyes - head.joint_template[3:5]).max() < 0.012


def test_landmarks_fall_on_the_same_triangles(head: FaceModel, stranger: Stranger, registered: Correspondence) -> None:
    embedding = head.embedding("ibug68")
    found = np.einsum("lk,lki->li", embedding.barycentric, registered.deformed[head.faces[embedding.faces]])
    truth = np.einsum("lk,lki->li", embedding.barycentric, stranger.shape_m[head.faces[embedding.faces]])
    error_mm = np.linalg.norm(found - (100.0 * truth + [3.0, -7.0, 11.0]), axis=1) * 10.0
    assert error_mm[36:48].mean() < 2.0  # lids
    assert error_mm[48:].mean() < 2.6  # lips


def test_numbers_that_are_not_finite_are_refused(stranger: Stranger) -> None:
    broken = stranger.vertices.copy()
    broken[5, 1] = np.nan
    with pytest.raises(FaceModelError, match=r"1 of \d+ vertices of the mesh are not finite"):
        register(broken, stranger.faces)


def test_triangles_beyond_the_vertices_are_refused(stranger: Stranger) -> None:
    with pytest.raises(FaceModelError, match="outside 0"):
        register(stranger.vertices[:100], stranger.faces)


def test_a_ball_is_no_face(networks: Path) -> None:
    ball, faces = _ball()
    with pytest.raises(FaceModelError, match="no face was found"):
        register(ball, faces)


def test_a_head_on_its_back_is_put_upright(head: FaceModel, networks: Path) -> None:
    lying = matrix_from_rotvec(np.array([np.pi / 2, 0.0, 0.0]))
    found = Viewer().upright(head.template @ lying.T, head.faces)
    np.testing.assert_allclose(found @ lying, np.eye(3), atol=1e-6)


def test_similarity_survives_outliers() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((40, 3))
    truth = Similarity(2.5, matrix_from_rotvec(np.array([0.3, -0.2, 0.5])), np.array([1.0, 2.0, 3.0]))
    target = truth.apply(points)
    target[:4] += 30.0
    found = align_robustly(points, target, np.ones(40), rounds=30)
    np.testing.assert_allclose(found.apply(points), truth.apply(points), atol=2e-2)
    np.testing.assert_allclose(found.inverse.apply(found.apply(points)), points, atol=1e-9)


def test_nearest_points_agree_with_brute_force() -> None:
    rng = np.random.default_rng(1)
    ball, faces = _ball()
    asked = 1.4 * rng.standard_normal((30, 3))
    found = Surface(ball, faces).nearest(asked)
    corners = ball[faces]
    shares = rng.dirichlet(np.ones(3), 400)
    dense = np.einsum("sk,fki->fsi", shares, corners).reshape(-1, 3)
    brute = np.linalg.norm(asked[:, None] - dense[None], axis=2).min(axis=1)
    assert (found.distance <= brute + 1e-9).all()
    assert (brute - found.distance).max() < 0.05
    np.testing.assert_allclose(np.linalg.norm(asked - found.position, axis=1), found.distance, atol=1e-12)


def test_edges_with_three_triangles_and_slivers_do_no_harm() -> None:
    ball, faces = _ball()
    fin = np.array([[faces[0, 0], faces[0, 1], 50], [3, 3, 5]], np.int32)
    surface = Surface(ball, np.concatenate([faces, fin]))
    found = surface.nearest(np.array([[2.0, 0.0, 0.0]]))
    assert np.isfinite(found.position).all()
    assert len(faces) + 1 not in surface.chosen  # the triangle without an area
    _, _, uses = edges_of(np.concatenate([faces, fin[:1]]).astype(np.intp))
    assert uses.max() == 3


def test_components_come_largest_first() -> None:
    ball, faces = _ball()
    some = faces[:10]
    both = np.concatenate([some, faces + len(ball)]).astype(np.intp)
    label = components(both, 2 * len(ball))
    assert (label[len(ball) :] == 0).all()
    assert set(label[some].ravel()) == {1}


def _ball() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = 14, 24
    theta = np.linspace(0.05, np.pi - 0.05, rows)[:, None]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    points = np.stack(
        [np.sin(theta) * np.cos(phi), np.cos(theta) + 0 * phi, -np.sin(theta) * np.sin(phi)], axis=2
    ).reshape(-1, 3)
    a = np.arange(rows - 1)[:, None] * columns + np.arange(columns)[None]
    b = np.arange(rows - 1)[:, None] * columns + (np.arange(columns)[None] + 1) % columns
    faces = np.stack([np.stack([a, a + columns, b], 2), np.stack([b, a + columns, b + columns], 2)]).reshape(-1, 3)
    return points, faces.astype(np.int32)
