"""Rows that a later slice throws away are not computed: taken out before OpenVINO compiles a network.

OpenVINO 2026.4 leaves slices where they stand. In MediaPipe's expression network, an MLP mixer, only the first of 97
tokens is read at the end; its last block need neither make new values of the others nor mix their channels, which is a
sixth of all multiplications.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

VERSION: Final = 1
"""Changes when compiled networks come out differently."""

_ELEMENTWISE: Final = frozenset(
    {"Add", "Subtract", "Multiply", "SquaredDifference", "Negative", "Power", "Relu", "Sigmoid"}
)


class _First(NamedTuple):
    """Only the first ``length`` along ``axis`` are read."""

    axis: int
    length: int


def drop_unread(openvino: Any, model: Any) -> bool:
    """Change the model in place, but not what it computes; returns whether there was anything to drop."""
    read: dict[str, _First] = {}
    """Name of an operator -> what of its one output is read; all of it where there is no entry."""
    nodes = model.get_ordered_ops()
    for node in reversed(nodes):
        if node.get_output_size() != 1 or node.get_type_name() in ("Constant", "Parameter", "Convert", "Result"):
            continue
        wanted = {_wanted(port.get_node(), port.get_index(), read) for port in node.output(0).get_target_inputs()}
        if len(wanted) == 1:
            (only,) = wanted
            if only is not None and _passes(node, only):
                read[node.get_name()] = only
    changed = False
    for node in nodes:
        if node.get_name() not in read:
            continue
        for index, source in enumerate(_sources(node)):
            part = _wanted(node, index, read)
            if part is None or source.get_node().get_name() in read or _length(source, part.axis) == part.length:
                continue
            bounds = [np.array([number]) for number in (0, part.length, 1, part.axis)]
            node.input(index).replace_source_output(openvino.opset13.slice(source, *bounds).output(0))
            changed = True
    if changed:
        model.validate_nodes_and_infer_types()
    return changed


def _wanted(node: Any, index: int, read: dict[str, _First]) -> _First | None:
    """What ``node`` reads of its input number ``index``; None: all."""
    part = read.get(node.get_name())
    if index == 0:
        cut = _cut(node)
        if cut is not None:
            return part if part is not None and part.axis == cut.axis else cut if part is None else None
    if part is None:
        return None
    kind, source = node.get_type_name(), node.input_value(index)
    if kind in _ELEMENTWISE:
        axis = part.axis - len(node.get_output_partial_shape(0)) + len(source.get_partial_shape())
        return part._replace(axis=axis) if axis >= 0 and _length(source, axis) != 1 else None
    if index == 0 and kind == "ReduceMean":
        return part
    if index == 0 and kind == "Transpose":
        order = _constant(node.input_value(1))
        return None if order is None else part._replace(axis=int(order[part.axis]))
    if kind == "Convolution":
        if part.axis == 1:
            return part._replace(axis=0) if index == 1 else None
        return part if index == 0 else None
    return None


def _passes(node: Any, part: _First) -> bool:
    """Whether what is unread of the output makes something of the inputs unread too, without other values changing."""
    kind = node.get_type_name()
    if kind in _ELEMENTWISE:
        return True
    if kind == "Transpose":
        return _constant(node.input_value(1)) is not None
    if kind == "ReduceMean":
        axes, rank = _constant(node.input_value(1)), len(node.get_output_partial_shape(0))
        return (
            axes is not None
            and part.axis not in {int(axis) % rank for axis in np.ravel(axes)}
            and len(node.get_input_partial_shape(0)) == rank
        )
    if kind == "Convolution":
        about = node.get_attributes()
        pointwise = [_length(node.input_value(1), axis) for axis in (2, 3)] == [1, 1]
        plain = set(about["strides"]) == {1} and not any((*about["pads_begin"], *about["pads_end"]))
        return part.axis > 0 and pointwise and plain and about["auto_pad"] in ("explicit", "valid")
    cut = _cut(node)
    return cut is not None and cut.axis == part.axis


def _cut(node: Any) -> _First | None:
    """What a slicing operator keeps, when that is the first few along a single axis."""
    kind = node.get_type_name()
    if kind not in ("StridedSlice", "Slice"):
        return None
    before, after = node.get_input_partial_shape(0), node.get_output_partial_shape(0)
    if len(before) != len(after):
        return None
    axes = [axis for axis in range(len(before)) if before[axis] != after[axis]]
    if len(axes) != 1 or after[axes[0]].is_dynamic or before[axes[0]].is_dynamic:
        return None
    starts, stops, steps = (_constant(node.input_value(index)) for index in (1, 2, 3))
    if starts is None or stops is None or steps is None or np.any(starts) or np.any(steps != 1) or np.any(stops < 0):
        return None  # a stop counted from the end would move with the length
    return _First(axes[0], after[axes[0]].get_length())


def _sources(node: Any) -> list[Any]:
    return [port.get_source_output() for port in node.inputs()]


def _length(output: Any, axis: int) -> int | None:
    shape = output.get_partial_shape()
    return shape[axis].get_length() if axis < len(shape) and shape[axis].is_static else None


def _constant(output: Any) -> Any | None:
    """The value of a constant, through conversions of its type or rank."""
    node = output.get_node()
    if node.get_type_name() in ("Convert", "Unsqueeze", "Reshape"):
        return _constant(node.input_value(0))
    return node.get_data() if node.get_type_name() == "Constant" else None
