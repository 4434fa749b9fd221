"""The torch landmark model against the tracker's, and its derivatives against automatic ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.toy_model import toy_model
from tracker.face_model import FaceModel, load_face_model
from tracker.fitting.landmark_model import LandmarkModel
from trainer.fit_layer.landmark_model import TorchLandmarkModel
from trainer.fit_layer.start import start_pose
from trainer.image_formation.rotations import matrix_from_rotvec

HEADS = {
    "builtin": (load_face_model, "ibug68"),
    "toy": (toy_model, "toy"),
    "correctives": (lambda: toy_model(correctives=True), "toy"),
}


@pytest.fixture(params=list(HEADS))
def head(request: pytest.FixtureRequest) -> tuple[FaceModel, str]:
    make, landmark_set = HEADS[request.param]
    return make(), landmark_set


def drawn(model: FaceModel, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    expression = torch.rand(count, model.expression_count, generator=generator, dtype=torch.float64) * 0.6
    return expression, torch.randn(count, model.identity_count, generator=generator, dtype=torch.float64)


def test_points_and_derivatives_are_the_trackers(head: tuple[FaceModel, str]) -> None:
    model, landmark_set = head
    reference, ours = LandmarkModel(model, landmark_set), TorchLandmarkModel(model, landmark_set, torch.float64)
    expressions, identities = drawn(model)
    points, by_expression, by_identity = (t.numpy() for t in ours.with_jacobians(expressions, identities))
    for row, (expression, identity) in enumerate(zip(expressions.numpy(), identities.numpy(), strict=True)):
        reference.set_identity(identity.astype(np.float32))
        e32 = expression.astype(np.float32)
        np.testing.assert_allclose(points[row][reference.order].T, reference.evaluate(e32), atol=1e-7)
        ordered = by_expression[row][reference.order].transpose(1, 0, 2)
        np.testing.assert_allclose(ordered, reference.expression_jacobian(e32), atol=1e-7)
        ordered = by_identity[row][reference.order].transpose(1, 0, 2)
        np.testing.assert_allclose(ordered, reference.identity_jacobian(e32), atol=1e-7)


def test_derivatives_hold_at_rest(head: tuple[FaceModel, str]) -> None:
    model, landmark_set = head
    ours = TorchLandmarkModel(model, landmark_set, torch.float64)
    zero = (
        torch.zeros(1, model.expression_count, dtype=torch.float64),
        torch.zeros(1, model.identity_count, dtype=torch.float64),
    )
    _, by_expression, by_identity = ours.with_jacobians(*zero)
    automatic = torch.autograd.functional.jacobian(lambda e, b: ours(e, b), zero, vectorize=True)
    torch.testing.assert_close(by_expression[0], automatic[0][0, :, :, 0], atol=1e-9, rtol=0)
    torch.testing.assert_close(by_identity[0], automatic[1][0, :, :, 0], atol=1e-9, rtol=0)


def test_points_can_be_given_by_triangle() -> None:
    model = toy_model()
    embedding = model.embedding("toy")
    by_name = TorchLandmarkModel(model, "toy")
    by_place = TorchLandmarkModel(model, (embedding.faces, embedding.barycentric))
    expression, identity = (t.float() for t in drawn(model))
    assert torch.equal(by_name(expression, identity), by_place(expression, identity))


def test_the_start_is_near_the_pose() -> None:
    model = load_face_model()
    points = TorchLandmarkModel(model, "ibug68", torch.float64)
    head = points(torch.zeros(2, model.expression_count).double(), torch.zeros(2, model.identity_count).double())
    turn = matrix_from_rotvec(torch.tensor([[0.2, 0.5, -0.3], [-0.3, -0.4, 0.6]]).double())
    rotation = turn @ torch.diag(torch.tensor([1.0, -1.0, -1.0]).double())
    translation = torch.tensor([[0.05, -0.02, 0.6], [-0.1, 0.03, 0.9]]).double()
    place = head @ rotation.transpose(1, 2) + translation[:, None]
    camera = torch.tensor([[600.0, 320.0, 240.0]]).double().expand(2, 3)
    landmarks = place[..., :2] / place[..., 2:] * 600.0 + camera[:, None, 1:]
    found, where = start_pose(landmarks, torch.ones(2, 68).double(), camera, head)
    angle = torch.arccos(((torch.einsum("bij,bij->b", found, rotation) - 1) / 2).clamp(-1, 1))
    assert (torch.rad2deg(angle) < 10.0).all() and ((where - translation).norm(dim=1) < 0.05).all()
