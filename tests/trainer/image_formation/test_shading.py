from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from tracker.appearance.light import sh_basis as reference  # noqa: E402
from tracker.appearance.light import shade as reference_shade  # noqa: E402
from tracker.directions import even_directions  # noqa: E402
from tracker.landmarks.crop import roi_around  # noqa: E402
from trainer.data.synthetic.lighting import light_of_radiance_at, sample_lights  # noqa: E402
from trainer.data.synthetic.stream import turned_light  # noqa: E402
from trainer.image_formation import matrix_from_rotvec, sh_basis, shade  # noqa: E402
from trainer.image_formation.camera import crop_at  # noqa: E402
from trainer.image_formation.shading import light_of_radiance, point_lights  # noqa: E402


def _unit(count: int, seed: int = 0):
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_harmonics_and_shading_are_those_of_the_tracker():
    normals, light = _unit(20), np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    np.testing.assert_allclose(sh_basis(torch.tensor(normals)).numpy(), reference(normals.T).T, atol=1e-6)
    ours = shade(torch.tensor(normals)[None], torch.tensor(light)[None])[0]
    np.testing.assert_allclose(ours.numpy(), reference_shade(normals.T, light), atol=1e-5)


def test_shading_has_gradients():
    normals = torch.tensor(_unit(4), dtype=torch.float64)[None].requires_grad_()
    light = torch.randn(1, 9, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(shade, (normals, light))
    points = torch.tensor([[[0.1, 0.0, 0.5], [0.0, 0.2, 0.6]]], dtype=torch.float64).requires_grad_()
    position = torch.tensor([[[0.3, 0.4, -0.2]]], dtype=torch.float64).requires_grad_()
    colour = torch.ones(1, 1, 3, dtype=torch.float64).requires_grad_()
    facing = torch.tensor([[[0.0, 0.0, -1.0], [0.1, 0.5, -0.86]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, q, c: point_lights(p, facing, q, c), (points, position, colour))


def test_even_light_is_one_and_a_lamp_lights_what_faces_it():
    directions = torch.tensor(even_directions(256), dtype=torch.float32)
    even = light_of_radiance(directions, torch.ones(1, 256, 3))
    np.testing.assert_allclose(shade(torch.tensor(_unit(9))[None], even).numpy(), 1.0, atol=0.02)
    lamp = torch.tensor([[[0.0, 0.0, -1.0]]])
    light = light_of_radiance_at(lamp, torch.ones(1, 1, 3))
    front, back = shade(torch.tensor([[[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]]), light)[0, :, 0]
    assert 0.9 < front < 1.1 and abs(back) < 0.1
    once = point_lights(torch.zeros(1, 1, 3), -lamp, torch.tensor([[[0.0, 0.0, 2.0]]]), torch.ones(1, 1, 3))
    np.testing.assert_allclose(once.numpy(), 0.25, rtol=1e-6)


def test_turned_light_shades_turned_normals_alike():
    light = sample_lights(2, torch.Generator().manual_seed(0)).harmonics()
    rotation = matrix_from_rotvec(torch.tensor([[0.3, -0.5, 0.2], [0.0, 0.0, 1.0]]))
    normals = torch.tensor(_unit(12))[None].expand(2, -1, -1)
    turned = turned_light(light, rotation)
    torch.testing.assert_close(
        shade(normals @ rotation.transpose(1, 2), turned), shade(normals, light), atol=2e-4, rtol=1e-3
    )


def test_crops_are_those_that_the_tracker_cuts():
    rng = np.random.default_rng(4)
    pixels = rng.uniform(200, 420, (40, 2)).astype(np.float32)
    roi = roi_around(pixels, pixels[0], pixels[1])
    tangents = torch.tensor((pixels - 300.0) / 500.0)[None]
    angle = torch.tensor([np.arctan2(*(pixels[1] - pixels[0])[::-1])])
    zero = torch.zeros(1)
    cameras = crop_at(tangents, angle, torch.zeros(1, 2), zero, torch.ones(1))
    points = torch.cat([tangents, torch.ones(1, 40, 1)], 2)
    ours = cameras.project(points)[0].numpy() * 256.0
    back = roi.to_image(np.column_stack([ours, np.zeros(40)]), 256)
    np.testing.assert_allclose(back[:, :2], pixels, atol=0.01)
    np.testing.assert_allclose(float(cameras.focal[0]), 500.0 / roi.size, rtol=1e-4)
    ahead = cameras.looking_at_crop[0, 2]
    seen = cameras.project(ahead[None, None])[0, 0]
    np.testing.assert_allclose(seen.numpy(), 0.5, atol=1e-5)
