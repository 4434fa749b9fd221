"""An ONNX network as a torch module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from engines.errors import EngineError, first_line
from engines.model import require_onnx
from engines.torch_operators import ON_HOST, OPERATORS, Operator, UnsupportedError

_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, NotImplementedError)
_OLDEST = 13
"""Operator set from which on axes and paddings are inputs."""
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class _Step:
    """One node: where its inputs come from and what it makes."""

    title: str
    operator: Operator
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    """Empty names are inputs that were left out."""
    host: frozenset[int]
    """Places of inputs that are numbers of the host."""
    outputs: tuple[str, ...]
    multiplies: bool
    """Whether its inputs behind the first are factors and biases of matrix products."""

    def carried_out(self, given: Iterable[Any]) -> tuple[Any, ...]:
        """What it makes, always as a tuple."""
        try:
            made = self.operator(self.attributes, *given)
        except UnsupportedError as error:
            raise UnsupportedError(f"operator {self.title} with {error}") from None
        return made if len(self.outputs) > 1 else (made,)


class OnnxModule(torch.nn.Module):
    """Computes what an ONNX file says, on whatever device its inputs and weights are.

    Weights are buffers; shapes, axes and paddings are numbers of the host, and what follows from constants alone is
    computed once, when the file is read. Takes the file's inputs in their order and gives its outputs as a tuple.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Read a network; see ``translate``, which turns failures into one line."""
        super().__init__()
        onnx = require_onnx()
        graph = _modern(onnx, onnx.load_model_from_string(content)).graph
        arrays: Arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._inputs = tuple(port.name for port in graph.input if port.name not in arrays)
        self._outputs = tuple(port.name for port in graph.output)
        steps, on_host = [], set[str]()
        for node in graph.node:
            if node.op_type == "Constant":
                arrays[node.output[0]] = _constant(onnx, node)
                continue
            step = _step(onnx, node, name, arrays, on_host)
            if step.inputs and all(not given or given in arrays for given in step.inputs):
                _fold(step, arrays)
            else:
                steps.append(step)
        self._host: dict[str, Any] = {}
        self._weights: dict[str, str] = {}
        for step in steps:
            for place, given in enumerate(step.inputs):
                if given in arrays:
                    self._keep(given, arrays[given], place in step.host)
        self._steps = tuple(zip(steps, _last_uses(steps, self._outputs), strict=True))

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Outputs in the file's order."""
        known: dict[str, Any] = dict(zip(self._inputs, given, strict=True))
        for step, done_with in self._steps:
            values = [self._value(known, name, place in step.host) for place, name in enumerate(step.inputs)]
            known.update(zip(step.outputs, step.carried_out(values), strict=True))
            for name in done_with:
                del known[name]
        return tuple(known[name] for name in self._outputs)

    def lower(self, kind: torch.dtype) -> Self:
        """Keep what is multiplied in ``kind``, so that ``torch.autocast`` need not convert it in every run; in place."""
        products, others = set[str](), set[str]()
        for step, _ in self._steps:
            for place, name in enumerate(step.inputs):
                (products if step.multiplies and place else others).add(name)
        for name in products - others:
            if name in self._weights:
                setattr(self, self._weights[name], getattr(self, self._weights[name]).to(kind))
        return self

    def _value(self, known: dict[str, Any], name: str, on_host: bool) -> Any:
        if not name:
            return None
        if name in known:
            return known[name]
        return self._host[name] if on_host else getattr(self, self._weights[name])

    def _keep(self, name: str, array: np.ndarray[Any, Any], on_host: bool) -> None:
        if on_host:
            self._host[name] = _numbers(array)
        elif name not in self._weights:
            self._weights[name] = f"weight_{len(self._weights)}"
            self.register_buffer(self._weights[name], torch.tensor(array))


def translate(content: bytes, name: str) -> OnnxModule:
    """A network as a module in evaluation mode, on the CPU.

    Args:
        content: of the .onnx file.
        name: how messages call it.

    Raises:
        EngineError: it is no network, or has an operator that ``engines.torch_operators`` lacks.
    """
    try:
        return OnnxModule(content, name).eval()
    except EngineError:
        raise
    except UnsupportedError as error:
        raise EngineError(f"{name}: torch cannot take {error}; use backend onnxruntime") from error
    except _FAILURES as error:
        raise EngineError(f"{name}: torch cannot translate it ({first_line(error)})") from error
    except Exception as error:  # protobuf's exceptions share no useful base
        raise EngineError(f"{name} is damaged or no ONNX network ({first_line(error)})") from error


def _modern(onnx: Any, model: Any) -> Any:
    """The model in an operator set that ``engines.torch_operators`` is written for."""
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), _OLDEST)
    if version >= _OLDEST:
        return model
    from onnx import version_converter

    return version_converter.convert_version(model, _OLDEST)


def _constant(onnx: Any, node: Any) -> np.ndarray[Any, Any]:
    (entry,) = node.attribute
    value = onnx.helper.get_attribute_value(entry)
    return np.asarray(onnx.numpy_helper.to_array(value) if entry.name == "value" else value)


def _step(onnx: Any, node: Any, name: str, arrays: Arrays, on_host: set[str]) -> _Step:
    """A node as a step; what it makes joins ``on_host`` when it computes with shapes rather than with data."""
    title = f"{node.op_type} (node {node.name or node.output[0]})"
    operator = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if operator is None:
        raise EngineError(f"{name}: torch cannot take operator {title}; use backend onnxruntime")
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type == "Split":
        attributes.setdefault("num_outputs", len(node.output))
    inputs = tuple(node.input)
    host = set(ON_HOST.get(node.op_type, ()))
    if node.op_type == "Gather" and inputs[1] in arrays and not arrays[inputs[1]].ndim:
        host.add(1)
    sizes = node.op_type == "Shape" or any(
        given in on_host for place, given in enumerate(inputs) if place not in ON_HOST.get(node.op_type, ())
    )
    if sizes:
        on_host.update(node.output)
        host.update(range(len(inputs)))
    return _Step(title, operator, attributes, inputs, frozenset(host), tuple(node.output), node.op_type in _PRODUCTS)


def _fold(step: _Step, arrays: Arrays) -> None:
    """Compute a step of constants; what it makes are constants too."""
    given = [
        None if not name else _numbers(arrays[name]) if place in step.host else torch.tensor(arrays[name])
        for place, name in enumerate(step.inputs)
    ]
    with torch.inference_mode():
        for name, value in zip(step.outputs, step.carried_out(given), strict=True):
            arrays[name] = np.asarray(value)


def _numbers(array: np.ndarray[Any, Any]) -> Any:
    return tuple(array.tolist()) if array.ndim else array.item()


def _last_uses(steps: list[_Step], wanted: tuple[str, ...]) -> list[tuple[str, ...]]:
    """For each step what nobody needs after it, so that its memory can be used again."""
    later, found = set(wanted), list[tuple[str, ...]]()
    made = {name for step in steps for name in step.outputs}
    for step in reversed(steps):
        names = {name for name in (*step.inputs, *step.outputs) if name in made}
        found.append(tuple(sorted(names - later)))
        later |= names
    return found[::-1]
