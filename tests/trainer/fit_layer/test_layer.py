"""Fitting as a layer: it finds what made the landmarks, and its gradients are those of the solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tracker.errors import ConfigError
from tracker.face_model import FaceModel
from trainer.errors import TrainingError
from trainer.fit_layer import FaceFit, FitConfig, FitLayer
from trainer.fit_layer.config import Backward
from trainer.image_formation.rotations import matrix_from_rotvec

pytest.importorskip("theseus", reason="fitting as a layer needs Theseus and libsuitesparse-dev: make theseus")

CAMERA = torch.tensor([[600.0, 320.0, 240.0]], dtype=torch.float64)


def faces(model: FaceModel, count: int, seed: int = 0) -> FaceFit:
    generator = torch.Generator().manual_seed(seed)
    turn = matrix_from_rotvec((torch.rand(count, 3, generator=generator) - 0.5).double())
    return FaceFit(
        turn @ torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)),
        torch.tensor([0.02, -0.01, 0.5]).double() + 0.05 * (torch.rand(count, 3, generator=generator) - 0.5),
        0.1 + 0.4 * torch.rand(count, model.expression_count, generator=generator).double(),
        torch.randn(count, model.identity_count, generator=generator).double(),
    )


def problem(
    layer: FitLayer, model: FaceModel, count: int = 2, noise: float = 0.0, seed: int = 0
) -> tuple[FaceFit, Tensor, Tensor, Tensor]:
    """Faces, their landmarks, confidence and camera."""
    truth = faces(model, count, seed)
    camera = CAMERA.expand(count, 3)
    landmarks = layer.project(truth, camera)
    landmarks = (
        landmarks + noise * torch.randn(landmarks.shape, generator=torch.Generator().manual_seed(seed + 1)).double()
    )
    return truth, landmarks, torch.ones(count, layer.points.count).double(), camera


def layer_of(model: FaceModel, **settings: object) -> FitLayer:
    return FitLayer(model, "ibug68", FitConfig.read(settings), torch.float64)


def test_clean_landmarks_give_their_face_back(small_model: FaceModel) -> None:
    layer = layer_of(small_model, identity_weight=1e-4, expression_weight=1e-4)
    truth, landmarks, confidence, camera = problem(layer, small_model)
    found = layer(landmarks, confidence, camera)
    assert (found.rotation - truth.rotation).abs().max() < 1e-3
    assert (found.translation - truth.translation).norm(dim=1).max() < 1e-3
    assert (layer.points(found.expression, found.identity) - layer.points(truth.expression, truth.identity)).norm(
        dim=2
    ).max() < 1e-3
    assert found.cost is not None and found.cost.max() < 1e-3


def test_a_second_stage_without_the_first_ends_at_the_same_place(small_model: FaceModel) -> None:
    both, one = layer_of(small_model), layer_of(small_model, rigid_iterations=0, iterations=40)
    _, landmarks, confidence, camera = problem(both, small_model, noise=0.5)
    first, second = both(landmarks, confidence, camera), one(landmarks, confidence, camera)
    torch.testing.assert_close(first.identity, second.identity, atol=1e-3, rtol=0)


def test_initial_parameters_are_where_the_fit_starts(small_model: FaceModel) -> None:
    layer = layer_of(small_model, rigid_iterations=0, iterations=1)
    truth, landmarks, confidence, camera = problem(layer, small_model)
    from_truth = layer(landmarks, confidence, camera, truth)
    from_mean = layer(landmarks, confidence, camera)
    assert from_truth.cost is not None and from_mean.cost is not None
    assert (from_truth.cost < 0.7 * from_mean.cost).all()


def test_points_without_confidence_or_place_do_not_count(small_model: FaceModel) -> None:
    layer = layer_of(small_model)
    _, landmarks, confidence, camera = problem(layer, small_model, noise=0.5)
    confidence[:, 5] = 0.0
    kept = layer(landmarks, confidence, camera)
    moved, lost = landmarks.clone(), landmarks.clone()
    moved[:, 5] += 50.0
    lost[:, 5] = float("nan")
    for changed in (moved, lost):
        found = layer(changed, confidence, camera)
        torch.testing.assert_close(found.identity, kept.identity, atol=1e-6, rtol=0)


def test_cauchy_ignores_an_outlier_that_squares_follow(small_model: FaceModel) -> None:
    errors = []
    for cauchy in (0.0, 3.0):
        layer = layer_of(small_model, cauchy=cauchy)
        truth, landmarks, confidence, camera = problem(layer, small_model)
        landmarks[:, 30] += 40.0
        found = layer(landmarks, confidence, camera)
        errors.append(float((found.translation - truth.translation).norm(dim=1).max()))
    assert errors[1] < 0.3 * errors[0]


def test_bounds_hold_expressions_back(small_model: FaceModel) -> None:
    free, bound = layer_of(small_model, bounds_weight=0.0), layer_of(small_model, bounds_weight=1e3)
    _, landmarks, confidence, camera = problem(free, small_model, noise=3.0)
    assert free(landmarks, confidence, camera).expression.min() < -0.05
    assert bound(landmarks, confidence, camera).expression.min() > -0.01


def measure(fit: FaceFit) -> Tensor:
    """(B,) a number for each face."""
    weights = torch.linspace(-1.0, 1.0, fit.identity.shape[1]).double()
    places = (fit.translation * 10.0).sum(1) + fit.rotation[:, 0, 2]
    return places + fit.expression[:, :4].sum(1) + (fit.identity * weights).sum(1)


@pytest.fixture(scope="module")
def differences(small_model: FaceModel) -> tuple[Tensor, Tensor, Tensor, list[tuple[int, ...]], Tensor]:
    """Landmarks (1, 68, 2) a pixel off, confidence, camera, entries of both, and finite differences by them."""
    layer = layer_of(small_model, iterations=40, cauchy=3.0, bounds_weight=0.0)
    _, landmarks, confidence, camera = problem(layer, small_model, count=1, noise=1.0)
    entries = [(8, 1), (30, 0), (48, 1), (60, 0), (36,), (57,)]
    step = 1e-3
    pictures, trusts = landmarks.repeat(2 * len(entries), 1, 1), confidence.repeat(2 * len(entries), 1)
    for number, entry in enumerate(entries):
        for row, sign in ((2 * number, 1.0), (2 * number + 1, -1.0)):
            (pictures if len(entry) == 2 else trusts)[(row, *entry)] += sign * step
    with torch.no_grad():
        values = measure(layer(pictures, trusts, camera.expand(len(pictures), 3)))
    return landmarks, confidence, camera, entries, (values[0::2] - values[1::2]) / (2 * step)


@pytest.mark.parametrize(
    ("backward", "tolerance"),
    [("exact", 3e-4), ("unroll", 3e-4), ("implicit", 0.3), ("truncated", 0.3), ("dlm", 0.3)],
)
def test_gradients_are_those_of_finite_differences(
    small_model: FaceModel,
    differences: tuple[Tensor, Tensor, Tensor, list[tuple[int, ...]], Tensor],
    backward: Backward,
    tolerance: float,
) -> None:
    """Of landmarks a pixel off, where Gauss-Newton's Hessian is not the whole one: its ways are near, the others exact."""
    landmarks, confidence, camera, entries, expected = differences
    layer = layer_of(small_model, backward=backward, cauchy=3.0, bounds_weight=0.0)
    landmarks, confidence = landmarks.clone().requires_grad_(), confidence.clone().requires_grad_()
    gradients = torch.autograd.grad(measure(layer(landmarks, confidence, camera)).sum(), (landmarks, confidence))
    found = torch.stack([gradients[0 if len(entry) == 2 else 1][(0, *entry)] for entry in entries])
    torch.testing.assert_close(found, expected, atol=tolerance * float(expected.abs().max()), rtol=0)


def test_unrolling_reaches_the_initial_parameters(small_model: FaceModel) -> None:
    layer = layer_of(small_model, rigid_iterations=0, iterations=2, backward="unroll")
    truth, landmarks, confidence, camera = problem(layer, small_model)
    start = replace(truth, identity=torch.zeros_like(truth.identity, requires_grad=True))
    layer(landmarks, confidence, camera, start).identity.sum().backward()
    assert start.identity.grad is not None and start.identity.grad.abs().max() > 0


def test_a_network_learns_through_the_fit(small_model: FaceModel) -> None:
    """Landmarks of a network, fitted; its only loss is the error of the fitted vertices."""
    torch.manual_seed(0)
    layer = FitLayer(small_model, "ibug68", FitConfig(rigid_iterations=4, iterations=6))
    truth, landmarks, _, camera = problem(layer_of(small_model), small_model, count=6)
    truth = FaceFit(*(t.float() for t in (truth.rotation, truth.translation, truth.expression, truth.identity)))
    camera, clean = camera.float(), landmarks.float()
    wanted = layer.points(truth.expression, truth.identity)
    # The network sees landmarks with a distortion of their own that it has to undo.
    offset = 2.0 * torch.randn(1, 68, 2)
    seen = clean + offset
    network = nn.Linear(1, 68 * 2, bias=False)
    nn.init.zeros_(network.weight)
    trust = nn.Parameter(torch.zeros(68))
    optimiser = torch.optim.Adam([*network.parameters(), trust], lr=0.1)
    errors = []
    for _ in range(14):
        predicted = seen + network(torch.ones(1, 1)).view(1, 68, 2)
        fit = layer(predicted, torch.exp(trust).expand(6, -1), camera)
        loss = (layer.points(fit.expression, fit.identity) - wanted).norm(dim=2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach()))
    assert np.isfinite(errors).all()
    assert errors[-1] < 0.6 * errors[0], errors


def test_shapes_that_do_not_fit_are_named(small_model: FaceModel) -> None:
    layer = layer_of(small_model)
    with pytest.raises(TrainingError, match=r"68 landmarks takes .* got \(1, 5, 2\)"):
        layer(torch.zeros(1, 5, 2), torch.ones(1, 68), CAMERA)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="iterations"):
        FitConfig(iterations=0)
    with pytest.raises(ConfigError, match="backward"):
        FitConfig.read({"backward": "guess"})
