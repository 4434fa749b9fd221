from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tracker.errors import ConfigError
from trainer.networks.backbones import make_backbone
from trainer.networks.decoders import DECODERS, MeshUpsampling, SpiralConvolution, make_decoder
from trainer.networks.dense_landmark_network import DenseLandmarkNetwork, confidence
from trainer.networks.landmark_mesh import builtin_mesh

pytest.importorskip("timm", reason="backbones come from timm (the train extra)")


def network_of(decoder: str, sigma: str = "exp") -> DenseLandmarkNetwork:
    backbone = make_backbone("mobilenetv4_s", 64)
    return DenseLandmarkNetwork(backbone, backbone.channels, decoder, builtin_mesh("dense101"), sigma)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_give_four_numbers_a_landmark_and_pass_gradients(name: str) -> None:
    decoder = make_decoder(name, 32, builtin_mesh("dense202"))
    features = torch.randn(3, 32, requires_grad=True)
    out = decoder(features)
    assert out.shape == (3, 202, 4)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_unknown_decoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="linear, mlp, spiral"):
        make_decoder("transformer", 8, builtin_mesh("dense101"))


def test_upsampling_is_the_matrix_product() -> None:
    mesh = builtin_mesh("dense202")
    sampling = mesh.samplings[0]
    matrix = np.zeros((len(mesh.levels[0].vertices), len(mesh.levels[1].vertices)), np.float32)
    for k in range(3):
        np.add.at(matrix, (np.arange(len(matrix)), sampling.corners[:, k]), sampling.share[:, k])
    x = torch.randn(2, matrix.shape[1], 5)
    torch.testing.assert_close(MeshUpsampling(sampling)(x), torch.as_tensor(matrix) @ x, atol=1e-5, rtol=1e-5)


def test_spiral_convolution_is_a_linear_map_of_what_lies_along_the_spiral() -> None:
    order = torch.tensor([[0, 1], [1, 2], [2, 0]])
    layer = SpiralConvolution(2, 3, order)
    x = torch.randn(1, 3, 2)
    expected = torch.cat([x[0, 1], x[0, 2]]) @ layer.map.weight.T + layer.map.bias
    torch.testing.assert_close(layer(x)[0, 1], expected)


@pytest.mark.parametrize("sigma", ["exp", "sigmoid"])
def test_network_starts_at_a_face_in_the_middle_of_the_crop(sigma: str) -> None:
    torch.manual_seed(0)
    network = network_of("linear", sigma).eval()
    with torch.no_grad():
        points, scale = network(torch.rand(2, 3, 64, 64))
    assert points.shape == scale.shape == (2, 101, 2)
    assert (scale > 0).all()
    assert 0.3 < float(points.mean()) < 0.7
    # The forehead is above the chin, the subject's left on the right of the picture.
    places = torch.as_tensor(builtin_mesh("dense101").levels[0].vertices)
    assert torch.corrcoef(torch.stack([places[:, 1], -points[0, :, 1]]))[0, 1] > 0.8
    assert torch.corrcoef(torch.stack([places[:, 0], points[0, :, 0]]))[0, 1] > 0.8


def test_sigmoid_sigmas_stay_below_one_and_exponential_ones_need_not() -> None:
    network = network_of("linear", "sigmoid").eval()
    bias = network.decoder.map.bias  # type: ignore[union-attr]
    with torch.no_grad():
        bias.view(101, 4)[:, 2:] = 20.0  # type: ignore[union-attr, operator]
        image = torch.zeros(1, 3, 64, 64)
        assert (network(image).sigma <= 1).all()
        network.sigma = "exp"
        assert (network(image).sigma > 1).all()
        assert torch.isfinite(network(image).sigma).all()


def test_confidence_is_one_minus_sigma_never_below_zero() -> None:
    torch.testing.assert_close(confidence(torch.tensor([0.0, 0.25, 3.0])), torch.tensor([1.0, 0.75, 0.0]))


def test_bad_sigma_is_refused() -> None:
    with pytest.raises(ConfigError, match="exp or sigmoid"):
        network_of("linear", "softplus")


@pytest.mark.slow
def test_spiral_network_survives_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime (the engines extra)")
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript (the train extra)")
    network = network_of("spiral").eval()
    image = torch.rand(1, 3, 64, 64)
    path = tmp_path / "network.onnx"
    torch.onnx.export(network, (image,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(path))
    points, sigma = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
    np.testing.assert_allclose(points, expected.points, atol=1e-4)
    np.testing.assert_allclose(sigma, expected.sigma, atol=1e-4)
