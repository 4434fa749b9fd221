from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from engines import load_engine  # noqa: E402
from tests.network_inputs import NETWORKS, noise, real, relative_difference  # noqa: E402
from trainer.networks.tflite_graph import TfliteModule  # noqa: E402

LANDMARKS = "face_landmarks_detector.tflite"


def to_torch(array: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


@pytest.fixture(scope="module")
def trunk(networks: Path) -> TfliteModule:
    return TfliteModule.from_file(networks / LANDMARKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_openvinos_reading(name: str, networks: Path, samples: Callable[[str], Path]) -> None:
    pytest.importorskip("openvino")
    engine = load_engine(networks / name, "openvino", "f32")
    module = TfliteModule.from_file(networks / name)
    shape = engine.inputs[0].shape
    inputs = [noise(shape), real(shape, samples("single_face.jpg"))]
    with torch.no_grad():
        # Both in one batch: what is right for one sample must be right for each of several.
        outputs = module(to_torch(np.concatenate(inputs)))
    for row, given in enumerate(inputs):
        expected = engine.infer(given)
        for output, array in zip(outputs, expected.values(), strict=True):
            assert relative_difference(output[row].numpy(), array) < 1e-4
            assert output.shape[1:] == array.shape[array.ndim - output.ndim + 1 :]


def test_features_are_the_ends_of_the_stages(trunk: TfliteModule) -> None:
    image = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        maps = trunk.features(image)
        everything = trunk._run((image,), [node.output for node in trunk.network.nodes])
    assert list(maps) == [2, 4, 8, 16, 32, 64, 128]
    assert {stride: values.shape[1] for stride, values in maps.items()} == trunk.feature_channels
    assert trunk.feature_channels == {2: 16, 4: 32, 8: 64, 16: 128, 32: 128, 64: 128, 128: 128}
    for stride, values in maps.items():
        assert values.shape == (2, trunk.feature_channels[stride], 256 // stride, 256 // stride)
        later = [
            tensor
            for tensor in everything.values()
            if tensor.ndim == 4 and tensor.shape[2:] == values.shape[2:] and torch.equal(tensor, values)
        ]
        assert later, f"the map of stride {stride} is no value of the network"


def test_weights_learn(networks: Path) -> None:
    torch.manual_seed(0)
    module = TfliteModule.from_file(networks / "iris_landmark.tflite")
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        target = module(image)[1] + 1.0
    optimiser = torch.optim.Adam(module.parameters(), 1e-4)
    losses = []
    for _ in range(8):
        loss = (module(image)[1] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_every_parameter_gets_a_gradient(networks: Path) -> None:
    module = TfliteModule.from_file(networks / "iris_landmark.tflite")
    sum(output.square().mean() for output in module(torch.rand(2, 3, 64, 64))).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_stages_can_be_kept_as_they_are(networks: Path) -> None:
    module = TfliteModule.from_file(networks / "iris_landmark.tflite")
    for parameter in module.parameters_until(4):
        parameter.requires_grad_(False)
    maps = module.features(torch.rand(1, 3, 64, 64))
    assert [stride for stride, values in maps.items() if not values.requires_grad] == [2, 4]
    with pytest.raises(KeyError):
        module.parameters_until(3)


def test_a_saved_state_comes_back(networks: Path, tmp_path: Path) -> None:
    changed, fresh = (TfliteModule.from_file(networks / "face_blendshapes.tflite") for _ in range(2))
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1.1)
    torch.save(changed.state_dict(), tmp_path / "weights.pt")
    points = torch.rand(1, 146, 2)
    assert not torch.allclose(fresh(points)[0], changed(points)[0])
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(fresh(points)[0], changed(points)[0])


def test_a_picture_of_another_size_is_refused(trunk: TfliteModule) -> None:
    with pytest.raises(ValueError, match=r"takes \(B, 3, 256, 256\), got \(1, 3, 192, 192\)"):
        trunk(torch.zeros(1, 3, 192, 192))
