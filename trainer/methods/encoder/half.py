"""Weights in half precision: half the file, read back as float32 before anything is computed with them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_LEAST_ELEMENTS: Final = 256


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
