"""Lowers a TFLite graph to ONNX's vocabulary: channels first, padding in numbers, any number of samples in a batch.

TFLite fixes pictures to (1, height, width, channels) and says SAME or VALID; ONNX, PyTorch, OpenVINO and TensorRT think
in (batch, channels, height, width) and in pixels of padding. Every tensor of four dimensions is stored channels first
here; others stay as they are. Inputs keep their names; outputs keep names and the file's layout, with the batch free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.engine import EngineError
from engines.tflite.graph import Graph, Operator

_TO_FIRST: Final = (0, 3, 1, 2)
_TO_LAST: Final = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX operator with one output; what ONNX passes as constant inputs of integers stands in ``attributes``."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Network:
    """A lowered network. Shapes are those of one sample, with the batch as a leading 1."""

    name: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    nodes: list[Node]
    constants: dict[str, NDArray[Any]]
    shapes: dict[str, tuple[int, ...]]
    """Of every input and every node's output."""


def lower(graph: Graph) -> Network:
    """The network of a graph.

    Raises:
        EngineError: an operator, or a use of one, that is not supported; one line naming it and the file.
    """
    return _Lowering(graph).network()


def supported_operators() -> tuple[str, ...]:
    """TFLite's names of the operators that ``lower`` knows, sorted."""
    return tuple(sorted(_Lowering.RULES))


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names = {index: graph.tensors[index].name for index in graph.inputs}
        self._network = Network(
            graph.name,
            {graph.tensors[index].name: self._stored_shape(index) for index in graph.inputs},
            {},
            [],
            {},
            {graph.tensors[index].name: self._stored_shape(index) for index in graph.inputs},
        )
        self._readers: dict[int, list[Operator]] = {}
        for operator in graph.operators:
            for index in operator.inputs:
                self._readers.setdefault(index, []).append(operator)
        # Zeros around a picture that the convolutions which read it add themselves: rows and columns before and after.
        self._border: dict[int, tuple[int, int, int, int]] = {}

    def network(self) -> Network:
        for operator in self._graph.operators:
            rule = self.RULES.get(operator.kind)
            if rule is None:
                raise EngineError(
                    f"{self._graph.name}: operator {operator.kind} is not supported; "
                    f"known are {', '.join(supported_operators())}"
                )
            try:
                rule(self, operator)
            except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
                raise EngineError(
                    f"{self._graph.name}: operator {operator.kind} has inputs it cannot have; fetch the file again"
                ) from error
        for index in self._graph.outputs:
            self._output(index)
        return self._network

    def _refuse(self, operator: Operator, what: str) -> EngineError:
        return EngineError(f"{self._graph.name}: operator {operator.kind} with {what} is not supported")

    # Names and shapes

    def _rank(self, index: int) -> int:
        return len(self._graph.tensors[index].shape)

    def _stored_shape(self, index: int) -> tuple[int, ...]:
        shape = self._graph.tensors[index].shape
        return tuple(shape[axis] for axis in _TO_FIRST) if len(shape) == 4 else shape

    def _axis(self, index: int, axis: int) -> int:
        """Where TFLite's axis of a tensor is stored."""
        rank = self._rank(index)
        axis %= rank
        return _TO_FIRST.index(axis) if rank == 4 else axis

    def _emit(self, op: str, inputs: Sequence[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self._network.nodes):03d}"
        self._network.nodes.append(Node(op, tuple(inputs), name, attributes))
        self._network.shapes[name] = shape
        return name

    def _constant(self, role: str, data: NDArray[Any]) -> str:
        name = f"{role}_{len(self._network.nodes):03d}"
        while name in self._network.constants:
            name += "b"
        self._network.constants[name] = np.ascontiguousarray(data)
        return name

    def _finish(self, operator: Operator, name: str) -> None:
        """Give an operator's output its name, after the activation fused into it."""
        activation = operator.options.get("fused_activation_function", "NONE")
        (index,) = operator.outputs
        if activation == "RELU":
            name = self._emit("Relu", [name], self._stored_shape(index))
        elif activation != "NONE":
            raise self._refuse(operator, f"activation {activation}")
        self._names[index] = name

    def _operand(self, index: int, rank: int) -> str:
        """A value, or a constant shaped so that it broadcasts against stored tensors of that rank."""
        if not self._graph.is_constant(index):
            if self._rank(index) != rank:
                raise EngineError(f"{self._graph.name}: arithmetic between values of different rank is not supported")
            return self._names[index]
        data = self._graph.constant(index)
        if rank == 4 and data.ndim:
            data = data.reshape((1,) * (4 - data.ndim) + data.shape).transpose(_TO_FIRST)
        return self._constant("constant", data)

    # Convolutions and pooling

    def _window(
        self, operator: Operator, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
    ) -> tuple[int, ...]:
        """Padding (top, left, bottom, right) as TFLite derives it: SAME puts the odd pixel behind."""
        source = operator.inputs[0]
        before, after = [0, 0], [0, 0]
        if operator.options["padding"] == "SAME":
            for axis in range(2):
                size = self._graph.tensors[source].shape[1 + axis]
                reach = (kernel[axis] - 1) * dilations[axis] + 1
                total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
                before[axis], after[axis] = total // 2, total - total // 2
        top, left, bottom, right = self._border.get(source, (0, 0, 0, 0))
        return before[0] + top, before[1] + left, after[0] + bottom, after[1] + right

    def _convolution(self, operator: Operator) -> None:
        source, weights = operator.inputs[:2]
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        if not self._graph.is_constant(weights) or (bias >= 0 and not self._graph.is_constant(bias)):
            raise self._refuse(operator, "weights that are not constant")
        data = self._graph.constant(weights)
        kernel = (data.shape[1], data.shape[2])
        channels = self._graph.tensors[source].shape[3]
        if operator.kind == "DEPTHWISE_CONV_2D":
            data, group = data.transpose(3, 0, 1, 2), channels
        else:
            data, group = data.transpose(0, 3, 1, 2), channels // data.shape[3]
        options = operator.options
        strides = (options["stride_h"], options["stride_w"])
        dilations = (options["dilation_h_factor"], options["dilation_w_factor"])
        inputs = [self._names[source], self._constant("weight", data)]
        # The files carry biases of nothing but zeros before linear layers; they cost time and say nothing.
        if bias >= 0 and np.any(self._graph.constant(bias)):
            inputs.append(self._constant("bias", self._graph.constant(bias)))
        name = self._emit(
            "Conv",
            inputs,
            self._stored_shape(operator.outputs[0]),
            pads=self._window(operator, kernel, strides, dilations),
            strides=strides,
            dilations=dilations,
            group=group,
        )
        self._finish(operator, name)

    def _max_pool(self, operator: Operator) -> None:
        options = operator.options
        kernel = (options["filter_height"], options["filter_width"])
        strides = (options["stride_h"], options["stride_w"])
        name = self._emit(
            "MaxPool",
            [self._names[operator.inputs[0]]],
            self._stored_shape(operator.outputs[0]),
            kernel_shape=kernel,
            strides=strides,
            pads=self._window(operator, kernel, strides, (1, 1)),
        )
        self._finish(operator, name)

    def _pad(self, operator: Operator) -> None:
        source, amounts = operator.inputs
        (target,) = operator.outputs
        pads = self._graph.constant(amounts)
        stored = pads[list(_TO_FIRST)] if self._rank(source) == 4 else pads
        if self._rank(source) == 4 and not stored[:2].any() and self._only_convolved(target):
            self._names[target] = self._names[source]
            self._border[target] = (int(stored[2, 0]), int(stored[3, 0]), int(stored[2, 1]), int(stored[3, 1]))
            return
        name = self._emit(
            "Pad", [self._names[source]], self._stored_shape(target), pads=tuple(stored.T.ravel().tolist())
        )
        self._finish(operator, name)

    def _only_convolved(self, index: int) -> bool:
        readers = self._readers.get(index, [])
        convolutions = ("CONV_2D", "DEPTHWISE_CONV_2D")
        return (
            index not in self._graph.outputs
            and bool(readers)
            and all(reader.kind in convolutions and reader.options["padding"] == "VALID" for reader in readers)
        )

    # Arithmetic

    def _binary(self, operator: Operator) -> None:
        op = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}[operator.kind]
        (target,) = operator.outputs
        operands = [self._operand(index, self._rank(target)) for index in operator.inputs]
        self._finish(operator, self._emit(op, operands, self._stored_shape(target)))

    def _squared_difference(self, operator: Operator) -> None:
        (target,) = operator.outputs
        shape = self._stored_shape(target)
        difference = self._emit("Sub", [self._operand(i, self._rank(target)) for i in operator.inputs], shape)
        self._finish(operator, self._emit("Mul", [difference, difference], shape))

    def _unary(self, operator: Operator) -> None:
        op = {"LOGISTIC": "Sigmoid", "RELU": "Relu", "SQRT": "Sqrt", "NEG": "Neg"}[operator.kind]
        name = self._emit(op, [self._names[operator.inputs[0]]], self._stored_shape(operator.outputs[0]))
        self._finish(operator, name)

    def _rsqrt(self, operator: Operator) -> None:
        shape = self._stored_shape(operator.outputs[0])
        root = self._emit("Sqrt", [self._names[operator.inputs[0]]], shape)
        self._finish(operator, self._emit("Reciprocal", [root], shape))

    def _prelu(self, operator: Operator) -> None:
        source, slopes = operator.inputs
        slope = self._graph.constant(slopes)
        if self._rank(source) != 4 or slope.size != self._graph.tensors[source].shape[3]:
            raise self._refuse(operator, f"slopes of shape {slope.shape}")
        inputs = [self._names[source], self._constant("slope", slope.reshape(-1, 1, 1))]
        self._finish(operator, self._emit("PRelu", inputs, self._stored_shape(operator.outputs[0])))

    def _reduce(self, operator: Operator) -> None:
        source, axes = operator.inputs
        stored = sorted(self._axis(source, int(axis)) for axis in np.atleast_1d(self._graph.constant(axes)))
        if 0 in stored or not operator.options["keep_dims"]:
            raise self._refuse(operator, "reduction over the batch or without keep_dims")
        op = {"MEAN": "ReduceMean", "SUM": "ReduceSum"}[operator.kind]
        shape = self._stored_shape(operator.outputs[0])
        self._finish(operator, self._emit(op, [self._names[source]], shape, axes=tuple(stored)))

    # Shape and place

    def _reshape(self, operator: Operator) -> None:
        source, (target,) = operator.inputs[0], operator.outputs
        before, after = self._graph.tensors[source].shape, self._graph.tensors[target].shape
        if before[0] != after[0]:
            raise self._refuse(operator, f"shapes {before} to {after}, which mix samples,")
        self._finish(operator, self._reshaped(self._names[source], before, after))

    def _reshaped(self, name: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        """Stored values of TFLite's shape ``before`` as stored values of its shape ``after``."""
        if len(before) == 4:
            name = self._transposed(name, tuple(before[axis] for axis in _TO_FIRST), _TO_LAST)
        if before != after:
            name = self._emit("Reshape", [name], after)
        return self._transposed(name, after, _TO_FIRST) if len(after) == 4 else name

    def _transposed(self, name: str, shape: tuple[int, ...], order: tuple[int, ...]) -> str:
        result = tuple(shape[axis] for axis in order)
        moved = [axis for axis in order if shape[axis] > 1]
        if moved == sorted(moved):  # only dimensions of size 1 change places
            return name if result == shape else self._emit("Reshape", [name], result)
        return self._emit("Transpose", [name], result, perm=order)

    def _transpose(self, operator: Operator) -> None:
        source, order = operator.inputs
        perm = [int(axis) for axis in self._graph.constant(order)]
        if perm[0] != 0:
            raise self._refuse(operator, "a batch that moves")
        if len(perm) == 4:
            perm = [_TO_FIRST.index(perm[axis]) for axis in _TO_FIRST]
        shape = self._stored_shape(operator.outputs[0])
        self._finish(operator, self._emit("Transpose", [self._names[source]], shape, perm=tuple(perm)))

    def _strided_slice(self, operator: Operator) -> None:
        source, *limits = operator.inputs
        (target,) = operator.outputs
        begin, end, stride = (self._graph.constant(index).tolist() for index in limits)
        shape, options = self._graph.tensors[source].shape, operator.options
        if set(stride) != {1} or options["ellipsis_mask"] or options["new_axis_mask"]:
            raise self._refuse(operator, "strides or new axes")
        # Taking the one sample out of its batch: with a free batch there is nothing to take.
        shrinks = options["shrink_axis_mask"]
        if shrinks and (shrinks != 1 or target not in self._graph.outputs):
            raise self._refuse(operator, "axes that vanish")
        name, stored = self._names[source], list(self._stored_shape(source))
        starts: list[int] = []
        ends: list[int] = []
        axes: list[int] = []
        for axis in range(1, len(shape)):
            first = 0 if options["begin_mask"] >> axis & 1 else begin[axis] % shape[axis]
            last = shape[axis] if options["end_mask"] >> axis & 1 else _limit(end[axis], shape[axis])
            if (first, last) != (0, shape[axis]):
                place = self._axis(source, axis)
                stored[place] = last - first
                starts, ends, axes = [*starts, first], [*ends, last], [*axes, place]
        if axes:
            name = self._emit("Slice", [name], tuple(stored), starts=tuple(starts), ends=tuple(ends), axes=tuple(axes))
        self._finish(operator, name)

    def _concatenation(self, operator: Operator) -> None:
        (target,) = operator.outputs
        axis = self._axis(target, operator.options["axis"])
        shape = self._stored_shape(target)
        values = [index for index in operator.inputs if not self._graph.is_constant(index)]
        if axis == 0 or not values:
            raise self._refuse(operator, "the batch as its axis or without values")
        if len(values) == len(operator.inputs):
            self._finish(operator, self._emit("Concat", [self._names[i] for i in values], shape, axis=axis))
            return
        # Constants have one sample, the batch has any number: pad the values and add the constants, which broadcast.
        name, place = "", 0
        constants = np.zeros(shape, np.float32)
        for index in operator.inputs:
            size = self._stored_shape(index)[axis]
            if index in values:
                pads = [0] * (2 * len(shape))
                pads[axis], pads[axis + len(shape)] = place, shape[axis] - place - size
                padded = self._emit("Pad", [self._names[index]], shape, pads=tuple(pads))
                name = self._emit("Add", [name, padded], shape) if name else padded
            else:
                data = self._graph.constant(index)
                window = [slice(None)] * len(shape)
                window[axis] = slice(place, place + size)
                constants[tuple(window)] = data.transpose(_TO_FIRST) if data.ndim == 4 else data
            place += size
        name = self._emit("Add", [name, self._constant("constant", constants)], shape)
        self._finish(operator, name)

    def _resize(self, operator: Operator) -> None:
        if operator.options["align_corners"] or not operator.options["half_pixel_centers"]:
            raise self._refuse(operator, "pixel centres other than half_pixel_centers")
        shape = self._stored_shape(operator.outputs[0])
        self._finish(operator, self._emit("Resize", [self._names[operator.inputs[0]]], shape))

    def _depth_to_space(self, operator: Operator) -> None:
        name = self._emit(
            "DepthToSpace",
            [self._names[operator.inputs[0]]],
            self._stored_shape(operator.outputs[0]),
            blocksize=operator.options["block_size"],
        )
        self._finish(operator, name)

    def _output(self, index: int) -> None:
        tensor = self._graph.tensors[index]
        if index not in self._names:
            raise EngineError(f"{self._graph.name}: output {tensor.name} is computed by no operator")
        shape, name = tensor.shape, self._names[index]
        if len(shape) == 4:
            name = self._transposed(name, self._stored_shape(index), _TO_LAST)
        elif self._network.shapes[name] == (1, *shape):
            shape = (1, *shape)
        self._rename(name, tensor.name)
        self._network.outputs[tensor.name] = shape

    def _rename(self, old: str, new: str) -> None:
        for place, node in enumerate(self._network.nodes):
            if node.output == old or old in node.inputs:
                inputs = tuple(new if name == old else name for name in node.inputs)
                output = new if node.output == old else node.output
                self._network.nodes[place] = Node(node.op, inputs, output, node.attributes)
        self._network.shapes[new] = self._network.shapes.pop(old)
        self._names = {index: new if name == old else name for index, name in self._names.items()}

    RULES: Final[dict[str, Callable[[_Lowering, Operator], None]]] = {
        "ADD": _binary,
        "CONCATENATION": _concatenation,
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _convolution,
        "DEPTH_TO_SPACE": _depth_to_space,
        "DIV": _binary,
        "LOGISTIC": _unary,
        "MAX_POOL_2D": _max_pool,
        "MEAN": _reduce,
        "MUL": _binary,
        "NEG": _unary,
        "PAD": _pad,
        "PRELU": _prelu,
        "RELU": _unary,
        "RESHAPE": _reshape,
        "RESIZE_BILINEAR": _resize,
        "RSQRT": _rsqrt,
        "SQRT": _unary,
        "SQUARED_DIFFERENCE": _squared_difference,
        "STRIDED_SLICE": _strided_slice,
        "SUB": _binary,
        "SUM": _reduce,
        "TRANSPOSE": _transpose,
    }


def _limit(end: int, size: int) -> int:
    return min(end, size) if end >= 0 else end + size
