from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from tracker.face_model import load_face_model  # noqa: E402
from tracker.rendering.rasterizer import rasterize  # noqa: E402
from trainer.image_formation import NormalField, TorchFaceModel, rasterise, sample_image, visible_points  # noqa: E402
from trainer.image_formation.fragments import nearest_triangles  # noqa: E402
from trainer.image_formation.unwrapping import Unwrapping  # noqa: E402

_SIZE = 96


def _head(count: int = 2):
    """Projected vertices (B, V, 2), depths (B, V), camera-frame vertices and the model."""
    model = load_face_model()
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    yaw = torch.tensor([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])
    vertices = torch.tensor(model.template)
    both = torch.stack([vertices @ turn.T, vertices @ (turn @ yaw).T])[:count] + torch.tensor([0.0, 0.0, 0.6])
    return both[..., :2] / both[..., 2:] * 180.0 + _SIZE / 2, both[..., 2], both, model


def test_pixels_see_the_triangles_that_the_reference_sees():
    points, depth, _, model = _head()
    faces = torch.tensor(model.faces, dtype=torch.int64)
    ours = rasterise(points, depth, faces, _SIZE, _SIZE)
    plain = nearest_triangles(points, depth, faces, _SIZE, _SIZE, True, 1e-3)
    for k in range(2):
        reference = rasterize(points[k].numpy(), depth[k].numpy(), model.faces, _SIZE, _SIZE)
        wanted = np.full(_SIZE * _SIZE, -1)
        wanted[reference.pixel] = reference.face
        for triangle in (ours.triangle[k], plain[k]):
            assert (triangle.flatten().numpy() != wanted).mean() < 2e-3
        mine = ours.image == k
        same = ours.triangle[k].flatten()[ours.pixel[mine]].numpy() == wanted[ours.pixel[mine].numpy()]
        found = np.zeros((_SIZE * _SIZE, 3))
        found[reference.pixel] = reference.barycentric
        np.testing.assert_allclose(
            ours.barycentric[mine].numpy()[same], found[ours.pixel[mine].numpy()][same], atol=2e-3
        )


def test_the_nearer_triangle_wins_and_backs_are_culled():
    points = torch.tensor([[[0.0, 0.0], [0.0, 8.0], [8.0, 0.0], [0.0, 0.0], [0.0, 8.0], [8.0, 0.0]]])
    depth = torch.tensor([[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert set(rasterise(points, depth, faces, 8, 8).triangle.unique().tolist()) == {-1, 1}
    assert set(rasterise(points, depth, faces[:, [0, 2, 1]], 8, 8).triangle.unique().tolist()) == {-1}
    turned = rasterise(points, depth, faces[:, [0, 2, 1]], 8, 8, cull_back=False)
    assert set(turned.triangle.unique().tolist()) == {-1, 1}
    behind = rasterise(points, -depth, faces, 8, 8)
    assert not behind.covered.any()


def test_interpolation_has_the_gradients_of_its_formula():
    points = torch.tensor([[[0.7, 0.4], [1.1, 7.3], [7.2, 1.4], [7.0, 7.6]]], dtype=torch.float64, requires_grad=True)
    depth = torch.tensor([[0.5, 0.9, 0.6, 0.7]], dtype=torch.float64, requires_grad=True)
    values = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])

    def drawn(p, d, v):
        return rasterise(p, d, faces, 8, 8).interpolate(v)

    assert len(drawn(points, depth, values)) > 20
    assert torch.autograd.gradcheck(drawn, (points, depth, values), eps=1e-7, atol=1e-5)


def test_samples_have_gradients_in_picture_and_points():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 2, 6, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    points = torch.tensor([[[1.2, 2.3], [4.9, 3.1], [6.1, 5.2]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sample_image, (image, points))
    centre = sample_image(image, torch.tensor([[[3.5, 2.5]]], dtype=torch.float64))
    torch.testing.assert_close(centre[0, 0], image[0, :, 2, 3])


def test_points_behind_the_surface_or_outside_are_hidden():
    depth = torch.full((1, 8, 8), 0.5)
    points = torch.tensor([[[4.0, 4.0], [4.0, 4.0], [9.0, 4.0]]])
    seen = visible_points(depth, points, torch.tensor([[0.502, 0.51, 0.4]]), slack=0.004)
    assert seen.tolist() == [[True, False, False]]


def test_unwrapping_a_painted_head_gives_the_paint_back():
    """Colours that follow from the place on the head come out of the texture as they went in, where they were seen."""
    points, depth, vertices, model = _head(1)
    faces = torch.tensor(model.faces, dtype=torch.int64)
    paint = torch.tensor((model.template - model.template.min(0)) / np.ptp(model.template, axis=0))
    big = points * 4.0
    raster = rasterise(big, depth, faces, 4 * _SIZE, 4 * _SIZE)
    image = raster.spread(raster.interpolate(paint)).permute(0, 3, 1, 2)
    buffer = raster.spread(raster.interpolate(depth[..., None]), float("inf"))[..., 0]
    unwrap = Unwrapping(model, 256)
    normals = NormalField(model.faces, model.vertex_count)(vertices)
    texture, visible = unwrap(image, big, depth, normals, buffer)
    wanted = unwrap.at_texels(paint[None])[0]
    got = texture.flatten(2)[0].T[unwrap.texel]
    clearly = visible.flatten()[unwrap.texel] > 0.6
    assert 500 < clearly.sum() < len(unwrap.texel)
    assert (got - wanted).abs()[clearly].median() < 2e-3
    assert (got - wanted).abs()[clearly].quantile(0.98) < 0.03


def test_a_fit_by_points_and_light_has_gradients_from_image_to_identity(toy_head):
    model = TorchFaceModel(toy_head, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, 12, 12, dtype=torch.float64, generator=generator)
    expression = torch.zeros(1, toy_head.expression_count, dtype=torch.float64)

    def colours(identity):
        vertices = model(identity, expression)[:, ::11] * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor(
            [0.0, 0.0, 0.5]
        )
        return sample_image(image, vertices[..., :2] / vertices[..., 2:] * 20.0 + 6.0)

    identity = 0.1 * torch.randn(1, toy_head.identity_count, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(colours, identity.requires_grad_(), atol=1e-6)
