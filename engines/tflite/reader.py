"""Reads a .tflite file into a ``Graph``, without TensorFlow.

Constants come out dense and in float32: the float16 weights these files carry (behind DEQUANTIZE) and the sparse ones
(behind DENSIFY) are unpacked here, so that nothing behind knows of either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import EngineError
from engines.tflite import schema
from engines.tflite.flatbuffer import FlatBufferError, Table
from engines.tflite.graph import Graph, Operator, Tensor
from engines.tflite.sparse import Dimension, densify

_IDENTIFIER = b"TFL3"
_INDEX_TYPES = {1: np.int32, 2: np.uint16, 3: np.uint8}


def read_tflite(path: str | Path) -> Graph:
    """The first subgraph of a file, its constants unpacked.

    Raises:
        EngineError: the file cannot be read, is no .tflite file, is damaged, or holds a type of number or a packing
            that is not known here. Operators are not judged: what makes something of the graph refuses those it
            cannot do.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"network file {path} cannot be read ({error.strerror})") from error
    if data[4:8] != _IDENTIFIER:
        raise EngineError(f"{path} is not a .tflite file: it must carry the mark TFL3, got {data[4:8]!r}")
    try:
        graph = _Reader(path, Table.root(data)).graph()
    except (FlatBufferError, ValueError, IndexError) as error:
        raise EngineError(f"{path} is a damaged .tflite file ({error}); fetch it again") from error
    return graph


class _Reader:
    def __init__(self, path: Path, model: Table) -> None:
        self._path = path
        self._kinds = [self._kind(code) for code in model.tables(1)]
        self._buffers = model.tables(4)
        subgraphs = model.tables(2)
        if not subgraphs:
            raise ValueError("it holds no network")
        self._subgraph = subgraphs[0]

    def graph(self) -> Graph:
        tensors = [self._tensor(table) for table in self._subgraph.tables(0)]
        graph = Graph(
            self._path.name,
            tensors,
            [self._operator(table, len(tensors)) for table in self._subgraph.tables(3)],
            tuple(self._subgraph.vector(1, np.int32).tolist()),
            tuple(self._subgraph.vector(2, np.int32).tolist()),
        )
        if not all(0 <= index < len(tensors) for index in (*graph.inputs, *graph.outputs)):
            raise ValueError("an input or output does not exist")
        _unpack_constants(graph)
        return graph

    def _kind(self, code: Table) -> str:
        # Codes beyond 127 moved to a wider field; older writers fill only the narrow one.
        number = max(int(code.scalar(0, "b")), int(code.scalar(3, "i")))
        return schema.OPERATORS.get(number) or code.text(1) or f"number {number}"

    def _operator(self, table: Table, tensors: int) -> Operator:
        kind = self._kinds[table.scalar(0, "I")]
        options = table.table(4)
        values = {
            name: _option(options, field, code, default) for name, field, code, default in schema.OPTIONS.get(kind, ())
        }
        inputs, outputs = (tuple(table.vector(field, np.int32).tolist()) for field in (1, 2))
        if not all(-1 <= index < tensors for index in (*inputs, *outputs)):
            raise ValueError(f"{kind} names a tensor that does not exist")
        return Operator(kind, inputs, outputs, values)

    def _tensor(self, table: Table) -> Tensor:
        name, shape = table.text(3), tuple(table.vector(0, np.int32).tolist())
        code = table.scalar(1, "b")
        if code not in schema.DTYPES:
            raise EngineError(f"{self._path}: tensor {name} has a number type that is not supported (code {code})")
        dtype = schema.DTYPES[code]
        raw = self._buffers[table.scalar(2, "I")].vector(0, np.uint8)
        if not raw.size:
            return Tensor(name, shape, dtype)
        values = np.frombuffer(raw.tobytes(), dtype)
        sparsity = table.table(6)
        if sparsity is not None:
            values = _dense(values, shape, sparsity)
        if values.size != int(np.prod(shape, dtype=np.int64)):
            raise ValueError(f"tensor {name} holds {values.size} numbers for the shape {shape}")
        return Tensor(name, shape, dtype, values.reshape(shape))


def _option(options: Table | None, field: int, code: str, default: int) -> Any:
    names = {"padding": schema.PADDINGS, "activation": schema.ACTIVATIONS}.get(code)
    number = default if options is None else options.scalar(field, "b" if names else code, default)
    return names[number] if names else number


def _dense(values: NDArray[Any], shape: tuple[int, ...], sparsity: Table) -> NDArray[Any]:
    traversal, block_map = (sparsity.vector(field, np.int32).tolist() for field in (0, 1))
    return densify(values, shape, traversal, block_map, [_dimension(table) for table in sparsity.tables(2)])


def _dimension(table: Table) -> Dimension:
    if table.scalar(0, "b") == 0:
        return Dimension(int(table.scalar(1, "i")))
    return Dimension(int(table.scalar(1, "i")), _indices(table, 2), _indices(table, 4))


def _indices(table: Table, field: int) -> NDArray[np.int64]:
    vector = table.table(field + 1)
    kind = table.scalar(field, "B")
    if vector is None or kind not in _INDEX_TYPES:
        raise ValueError("a sparse tensor lacks its indices")
    return vector.vector(0, _INDEX_TYPES[kind]).astype(np.int64)


def _unpack_constants(graph: Graph) -> None:
    """Replace DENSIFY and DEQUANTIZE of constants by their results."""
    remaining = []
    for operator in graph.operators:
        if operator.kind in ("DENSIFY", "DEQUANTIZE") and graph.is_constant(operator.inputs[0]):
            source, target = (graph.tensors[index] for index in (operator.inputs[0], operator.outputs[0]))
            if operator.kind == "DEQUANTIZE" and source.dtype != np.float16:
                raise EngineError(
                    f"{graph.name}: weights of type {source.dtype.name} are not supported, only float16 and float32"
                )
            target.data = graph.constant(operator.inputs[0]).astype(target.dtype)
        else:
            remaining.append(operator)
    graph.operators = remaining
