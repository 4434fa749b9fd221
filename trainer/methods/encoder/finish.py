"""The last touches on an exported network: how it takes its crops, and weights in half precision, half the file, read back as
float32 before anything is computed with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.header import METADATA_KEY
from tracker.cache import atomic_target

_LEAST_ELEMENTS: Final = 256


def finish(path: Path, *, channels_last: bool = False) -> None:
    """Halve the weights of an exported ONNX file; with ``channels_last`` it also takes crops as cameras give them, which saves a
    CPU turning them. The file is replaced as a whole.
    """
    import onnx

    model = onnx.load(str(path))
    if channels_last:
        take_channels_last(model)
    halve_weights(model)
    with atomic_target(path) as partial:
        onnx.save(model, str(partial))


def take_channels_last(model: Any) -> None:
    """Let an ONNX model whose only input is a crop (B, 3, S, S) take (B, S, S, 3), and say so in its header; it is changed."""
    import onnx

    (given,) = model.graph.input
    name = given.name
    batch, channels, height, width = given.type.tensor_type.shape.dim
    shape = [axis.dim_param or axis.dim_value for axis in (batch, height, width, channels)]
    planar = f"{name}_planar"
    for node in model.graph.node:
        node.input[:] = [planar if each == name else each for each in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Transpose", [name], [planar], name=planar, perm=[0, 3, 1, 2]))
    given.CopyFrom(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            header = json.loads(entry.value)
            header["inputs"][0]["layout"] = "NHWC"
            entry.value = json.dumps(header, ensure_ascii=False)


def halve_weights(model: Any) -> None:
    """Store the large float32 constants of an ONNX model as float16, each behind a cast; the model is changed.

    A constant that float16 cannot hold (beyond 65504) stays as it is.
    """
    import onnx
    from onnx import numpy_helper

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(constant)
        if values.size < _LEAST_ELEMENTS or np.abs(values).max(initial=0.0) > 65504.0:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)
        )
    for place, cast in enumerate(casts):
        model.graph.node.insert(place, cast)
