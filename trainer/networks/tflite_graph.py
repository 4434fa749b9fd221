"""A network of a .tflite file as a torch module whose weights can be trained.

The landmark network's trunk, trained by others on far more faces than can be had here, is a good start for own heads:

    trunk = TfliteModule.from_file(tracker.networks.locate("face_landmarks_detector.tflite"))
    maps = trunk.features(image)        # {2: (B, 16, 128, 128), 4: (B, 32, 64, 64), ... 128: (B, 128, 2, 2)}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.tflite.channels_first import Network, Node, lower
from engines.tflite.reader import read_tflite


class TfliteModule(nn.Module):
    """A lowered network: pictures (B, 3, H, W) float32 in, its outputs in the file's order and layout out.

    The batch is free. Weights, biases and slopes are parameters; what is a constant of arithmetic (such as an epsilon)
    is a buffer. Biases that are all zero in the file do not exist here.

    Weights and values are kept channels last in memory (shapes stay as they are): measured on a CPU, a training step of
    the landmark network takes 0.72 of the time, running it 0.64.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.input_shape = next(iter(network.inputs.values()))
        """Of one sample, (1, 3, H, W)."""
        trainable = {
            name for node in network.nodes if node.op in ("Conv", "PRelu") for name in node.inputs[1:]
        } & network.constants.keys()
        for name, data in network.constants.items():
            value = torch.from_numpy(data.copy())
            if name in trainable:
                self.register_parameter(name, nn.Parameter(value.flatten() if name.startswith("slope") else value))
            else:
                self.register_buffer(name, value)
        self.to(memory_format=torch.channels_last)
        self._last_maps = _last_maps(network)
        self._release = _last_reads(network)

    @classmethod
    def from_file(cls, path: str | Path) -> TfliteModule:
        """Read a .tflite file. Raises engines.EngineError when it is none or holds an unknown operator."""
        return cls(lower(read_tflite(path)))

    @property
    def feature_channels(self) -> dict[int, int]:
        """How many channels each map of ``features`` has, by stride."""
        return {stride: self.network.shapes[name][1] for stride, name in self._last_maps.items()}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the whole network on its inputs, pictures as (B, 3, H, W).

        Returns:
            The outputs, shaped as the file says but with the batch in front: (B, 1, 1, 1434) for the landmarks.
        """
        values = self._run(inputs, list(self.network.outputs))
        return tuple(values[name] for name in self.network.outputs)

    def outputs_and_features(self, image: Tensor) -> tuple[tuple[Tensor, ...], dict[int, Tensor]]:
        """What ``forward`` and ``features`` give, from one pass."""
        outputs, maps = list(self.network.outputs), self._last_maps
        values = self._run((image,), [*outputs, *maps.values()])
        return tuple(values[name] for name in outputs), {stride: values[name] for stride, name in maps.items()}

    def features(self, image: Tensor) -> dict[int, Tensor]:
        """The last map (B, C, H / stride, W / stride) of each resolution, by stride; only what they need is computed.

        In the landmark network these are the ends of the trunk's stages, each before the step down to the next.
        """
        values = self._run((image,), list(self._last_maps.values()))
        return {stride: values[name] for stride, name in self._last_maps.items()}

    def outputs_from(self, stride: int, value: Tensor) -> tuple[Tensor, ...]:
        """What ``forward`` gives, from the map (B, C, H / stride, W / stride) of ``features`` on: two networks with the same
        beginning need run it only once.

        Raises:
            KeyError: ``features`` has no map of that stride.
        """
        name = self._last_maps[stride]
        begin = next(place for place, node in enumerate(self.network.nodes) if node.output == name) + 1
        values = {name: value}
        for node in self.network.nodes[begin:]:
            arguments = [values[key] if key in values else getattr(self, key) for key in node.inputs]
            values[node.output] = _OPERATORS[node.op](node, self.network.shapes[node.output], *arguments)
        return tuple(values[key] for key in self.network.outputs)

    def parameters_until(self, stride: int) -> list[nn.Parameter]:
        """The parameters that the map of this stride depends on, to keep them as they are while the rest learns.

        Raises:
            KeyError: ``features`` has no map of that stride.
        """
        places = {node.output: place for place, node in enumerate(self.network.nodes)}
        end = places[self._last_maps[stride]]
        names = {name for node in self.network.nodes[: end + 1] for name in node.inputs}
        return [parameter for name, parameter in self.named_parameters() if name in names]

    def _run(self, inputs: tuple[Tensor, ...], wanted: list[str]) -> dict[str, Tensor]:
        for given, expected in zip(inputs, self.network.inputs.values(), strict=True):
            if tuple(given.shape[1:]) != expected[1:]:
                raise ValueError(f"{self.network.name} takes (B, {_listed(expected)}), got ({_listed(given.shape, 0)})")
        values = {
            name: given.contiguous(memory_format=torch.channels_last) if given.ndim == 4 else given
            for name, given in zip(self.network.inputs, inputs, strict=True)
        }
        missing = set(wanted) - values.keys()
        for place, node in enumerate(self.network.nodes):
            if not missing:
                break
            arguments = [values[name] if name in values else getattr(self, name) for name in node.inputs]
            values[node.output] = _OPERATORS[node.op](node, self.network.shapes[node.output], *arguments)
            missing.discard(node.output)
            for name in self._release[place]:
                if name not in wanted:
                    del values[name]
        return values


def _listed(shape: Sequence[int], start: int = 1) -> str:
    return ", ".join(map(str, shape[start:]))


def _last_maps(network: Network) -> dict[int, str]:
    """By stride, the last value of each resolution above one pixel."""
    height, width = next(iter(network.inputs.values()))[-2:]
    found: dict[int, str] = {}
    for node in network.nodes:
        shape = network.shapes[node.output]
        if len(shape) == 4 and shape[2] > 1 and shape[3] > 1 and height % shape[2] == 0:
            stride = height // shape[2]
            if stride * shape[3] == width:
                found[stride] = node.output
    return found


def _last_reads(network: Network) -> list[list[str]]:
    """Per node the values that nothing after it reads."""
    last = {name: place for place, node in enumerate(network.nodes) for name in node.inputs}
    released: list[list[str]] = [[] for _ in network.nodes]
    for name, place in last.items():
        if name not in network.constants:
            released[place].append(name)
    return released


def _conv(node: Node, shape: tuple[int, ...], x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    at = node.attributes
    top, left, bottom, right = at["pads"]
    if (top, left) == (bottom, right):
        return F.conv2d(x, weight, bias, at["strides"], (top, left), at["dilations"], at["group"])
    x = F.pad(x, (left, right, top, bottom))
    return F.conv2d(x, weight, bias, at["strides"], 0, at["dilations"], at["group"])


def _max_pool(node: Node, shape: tuple[int, ...], x: Tensor) -> Tensor:
    top, left, bottom, right = node.attributes["pads"]
    if any(node.attributes["pads"]):
        x = F.pad(x, (left, right, top, bottom), value=float("-inf"))
    return F.max_pool2d(x, node.attributes["kernel_shape"], node.attributes["strides"])


def _pad(node: Node, shape: tuple[int, ...], x: Tensor) -> Tensor:
    pads, rank = node.attributes["pads"], len(shape)
    # torch counts from the last axis.
    return F.pad(x, [pads[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)])


def _slice(node: Node, shape: tuple[int, ...], x: Tensor) -> Tensor:
    at = node.attributes
    for start, end, axis in zip(at["starts"], at["ends"], at["axes"], strict=True):
        x = x.narrow(axis, start, end - start)
    return x


def _depth_to_space(node: Node, shape: tuple[int, ...], x: Tensor) -> Tensor:
    block = node.attributes["blocksize"]
    batch, _, height, width = x.shape
    # The file's order: the block's row and column are the slowest part of the channel number, unlike pixel_shuffle.
    parts = x.reshape(batch, block, block, shape[1], height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(batch, *shape[1:])


_OPERATORS: Final[dict[str, Callable[..., Tensor]]] = {
    "Add": lambda node, shape, a, b: a + b,
    "Concat": lambda node, shape, *parts: torch.cat(parts, node.attributes["axis"]),
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Div": lambda node, shape, a, b: a / b,
    "MaxPool": _max_pool,
    "Mul": lambda node, shape, a, b: a * b,
    "Neg": lambda node, shape, x: -x,
    "PRelu": lambda node, shape, x, slope: F.prelu(x, slope),
    "Pad": _pad,
    "Reciprocal": lambda node, shape, x: torch.reciprocal(x),
    "ReduceMean": lambda node, shape, x: x.mean(node.attributes["axes"], keepdim=True),
    "ReduceSum": lambda node, shape, x: x.sum(node.attributes["axes"], keepdim=True),
    "Relu": lambda node, shape, x: F.relu(x),
    "Reshape": lambda node, shape, x: x.reshape(-1, *shape[1:]),
    "Resize": lambda node, shape, x: F.interpolate(x, shape[2:], mode="bilinear", align_corners=False),
    "Sigmoid": lambda node, shape, x: torch.sigmoid(x),
    "Slice": _slice,
    "Sqrt": lambda node, shape, x: torch.sqrt(x),
    "Sub": lambda node, shape, a, b: a - b,
    "Transpose": lambda node, shape, x: x.permute(node.attributes["perm"]),
}
