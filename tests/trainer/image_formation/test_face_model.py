from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from tracker.face_model import load_face_model  # noqa: E402
from trainer.image_formation import NormalField, TorchFaceModel, matrix_from_rotvec  # noqa: E402
from trainer.image_formation.face_model import PointSet  # noqa: E402


def test_vertices_are_those_of_the_tracker_to_a_micrometre():
    model = load_face_model()
    rng = np.random.default_rng(0)
    identity = rng.normal(size=(3, model.identity_count)).astype(np.float32)
    weights = rng.uniform(0, 1, (3, model.expression_count)).astype(np.float32)
    head = TorchFaceModel(model)(torch.tensor(identity), torch.tensor(weights))
    for k in range(3):
        params = model.params_of(weights[k], np.zeros(3), np.zeros(3))
        np.testing.assert_allclose(head[k].numpy(), model.vertices_head(identity[k], params), atol=1e-6)


def test_a_bent_neck_is_that_of_the_tracker():
    from dataclasses import replace

    model = load_face_model()
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 1, model.expression_count).astype(np.float32)
    params = replace(model.params_of(weights, np.zeros(3), np.zeros(3)), neck=np.array([0.2, -0.3, 0.1], np.float32))
    joints = np.zeros((1, 5, 3), np.float32)
    joints[0, 1], joints[0, 2], joints[0, 3], joints[0, 4] = params.neck, params.jaw, params.eyes[:3], params.eyes[3:]
    identity = np.zeros(model.identity_count, np.float32)
    head = TorchFaceModel(model)(
        torch.zeros(1, model.identity_count), torch.tensor(weights)[None], torch.tensor(joints)
    )
    np.testing.assert_allclose(head[0].numpy(), model.vertices_head(identity, params), atol=1e-6)


def test_landmarks_and_normals_are_those_of_the_tracker():
    from tracker.rendering.shading import NormalField as Numpy

    model = load_face_model()
    vertices = torch.tensor(model.template)[None]
    points = PointSet(model.faces, model.embedding("mediapipe478"))(vertices)
    np.testing.assert_allclose(points[0].numpy(), model.landmarks(model.template, "mediapipe478"), atol=1e-7)
    normals = NormalField(model.faces, model.vertex_count)(vertices)
    np.testing.assert_allclose(normals[0].numpy(), Numpy(model.faces, model.vertex_count)(model.template), atol=2e-4)


def test_gradients_reach_identity_expression_and_joints(toy_head):
    model = TorchFaceModel(toy_head, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(1, toy_head.identity_count, dtype=torch.float64, generator=generator),
        torch.rand(1, toy_head.expression_count, dtype=torch.float64, generator=generator),
        0.3 * torch.randn(1, 5, 3, dtype=torch.float64, generator=generator),
    )
    for value in inputs:
        value.requires_grad_()
    assert torch.autograd.gradcheck(lambda *args: model(*args)[:, ::7], inputs, atol=1e-7)


def test_rotations_have_gradients_at_zero():
    zero = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_from_rotvec, zero)
    turned = matrix_from_rotvec(torch.tensor([[0.0, 0.0, torch.pi / 2]], dtype=torch.float64))
    np.testing.assert_allclose(turned[0] @ torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), [0, 1, 0], atol=1e-12)
