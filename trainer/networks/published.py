"""The published landmark network, frozen: its answers and the maps that it makes on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from engines.openvino_backend import shared_core
from tracker.networks import locate
from trainer.networks.tflite_graph import TfliteModule

PUBLISHED: Final = "face_landmarks_detector.tflite"
STRIDES: Final = (4, 8, 16, 32)
_CROP: Final = 256
_AT_ONCE: Final = 4
"""Crops that OpenVINO is given at a time: what they make stays in the cache; measured, 5.7 ms a crop instead of 9.0 for 32."""


class Answers(NamedTuple):
    """Of B crops."""

    points: Tensor
    """(B, 478, 3) landmarks as fractions of the crop's side."""
    presence: Tensor
    """(B, 1) logit."""
    tongue: Tensor
    """(B, 1) weight."""
    map4: Tensor
    map8: Tensor
    map16: Tensor
    map32: Tensor
    """(B, C, 256 / s, 256 / s) the last map at each stride s."""


class PublishedNetwork(nn.Module):
    """``forward``: pictures (B, 3, 256, 256) in 0..1 -> ``Answers``.

    Nothing in it learns. On a CPU it is run by OpenVINO while training, which takes a third of torch's time.

    Raises:
        NetworkAssetError: on construction, when the network has not been fetched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph = TfliteModule.from_file(locate(PUBLISHED))
        self.channels = self.graph.feature_channels
        for parameter in self.graph.parameters():
            parameter.requires_grad_(False)
        self._threads: int | None = None
        self._quick: Callable[[Tensor], Answers] | None = None

    def forward(self, image: Tensor) -> Answers:
        if self._threads is not None and self.training and image.device.type == "cpu":
            if self._quick is None:
                self._quick = _OpenVino(self, self._threads)
            return self._quick(image)
        with torch.no_grad():
            return self.answers(image)

    def answers(self, image: Tensor) -> Answers:
        """What ``forward`` gives, by torch."""
        (points, presence, tongue), maps = self.graph.outputs_and_features(image)
        batch = image.shape[0]
        return Answers(
            points.reshape(batch, -1, 3) / _CROP,
            presence.reshape(batch, 1),
            tongue.reshape(batch, 1),
            *(maps[stride] for stride in STRIDES),
        )

    def hasten(self, threads: int) -> None:
        """From now on, run by OpenVINO while training on a CPU; it is loaded with the first batch there."""
        self._threads = threads

    def __getstate__(self) -> dict[str, Any]:
        # Copies (the moving average is one) do without: they are not trained.
        return {**self.__dict__, "_threads": None, "_quick": None}


class _OpenVino:
    def __init__(self, network: PublishedNetwork, threads: int) -> None:
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        class Plain(nn.Module):
            def forward(self, image: Tensor) -> tuple[Tensor, ...]:
                return tuple(network.answers(image))

        # Not by openvino.convert_model, which reports its use (engines.openvino_backend).
        reader = FrontEndManager().load_by_framework("pytorch")
        traced = TorchScriptPythonDecoder(Plain(), example_input=torch.zeros(2, 3, _CROP, _CROP))
        model = reader.convert(reader.load(traced))
        model.reshape({0: [-1, 3, _CROP, _CROP]})
        config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        self._request = shared_core().compile_model(model, "CPU", config).create_infer_request()

    def __call__(self, image: Tensor) -> Answers:
        crops = image.detach().contiguous().numpy()
        parts = []
        for first in range(0, len(crops), _AT_ONCE):
            found = self._request.infer({0: crops[first : first + _AT_ONCE]})
            parts.append([torch.from_numpy(value.copy()) for value in found.values()])
        return Answers(*(torch.cat(part) for part in zip(*parts, strict=True)))
