"""Numbers of TFLite's schema: operator codes, number types and the fields of operators' options.

From TensorFlow's lite/schema/schema.fbs (Apache-2.0). Only what networks of this product use is listed: another
operator is refused by name or number when the file is read.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    0: np.dtype(np.float32),
    1: np.dtype(np.float16),
    2: np.dtype(np.int32),
    3: np.dtype(np.uint8),
    4: np.dtype(np.int64),
    6: np.dtype(np.bool_),
    9: np.dtype(np.int8),
}

OPERATORS: Final[dict[int, str]] = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6",
    22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX", 28: "TANH", 34: "PAD", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB",
    42: "DIV", 43: "SQUEEZE", 45: "STRIDED_SLICE", 54: "PRELU", 59: "NEG", 60: "PADV2", 70: "EXPAND_DIMS", 74: "SUM",
    75: "SQRT", 76: "RSQRT", 77: "SHAPE", 78: "POW", 83: "PACK", 92: "SQUARE", 98: "LEAKY_RELU",
    99: "SQUARED_DIFFERENCE", 117: "HARD_SWISH", 124: "DENSIFY", 126: "BATCH_MATMUL",
}  # fmt: skip

PADDINGS: Final = ("SAME", "VALID")
ACTIVATIONS: Final = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

# Per operator: option name, its field in the options table, its type as in ``struct`` and its default. "padding" and
# "activation" are bytes that stand for a name.
_ACTIVATION: Final = "fused_activation_function"
_ADD: Final = ((_ACTIVATION, 0, "activation", 0),)
_POOL: Final = (
    ("padding", 0, "padding", 0), ("stride_w", 1, "i", 0), ("stride_h", 2, "i", 0), ("filter_width", 3, "i", 0),
    ("filter_height", 4, "i", 0), (_ACTIVATION, 5, "activation", 0),
)  # fmt: skip
_REDUCER: Final = (("keep_dims", 0, "?", 0),)
OPTIONS: Final[dict[str, tuple[tuple[str, int, str, int], ...]]] = {
    "ADD": _ADD,
    "SUB": _ADD,
    "MUL": _ADD,
    "DIV": _ADD,
    "CONV_2D": (
        ("padding", 0, "padding", 0), ("stride_w", 1, "i", 0), ("stride_h", 2, "i", 0), (_ACTIVATION, 3, "activation", 0),
        ("dilation_w_factor", 4, "i", 1), ("dilation_h_factor", 5, "i", 1),
    ),
    "DEPTHWISE_CONV_2D": (
        ("padding", 0, "padding", 0), ("stride_w", 1, "i", 0), ("stride_h", 2, "i", 0), ("depth_multiplier", 3, "i", 0),
        (_ACTIVATION, 4, "activation", 0), ("dilation_w_factor", 5, "i", 1), ("dilation_h_factor", 6, "i", 1),
    ),
    "MAX_POOL_2D": _POOL,
    "AVERAGE_POOL_2D": _POOL,
    "CONCATENATION": (("axis", 0, "i", 0), (_ACTIVATION, 1, "activation", 0)),
    "FULLY_CONNECTED": ((_ACTIVATION, 0, "activation", 0), ("weights_format", 1, "b", 0), ("keep_num_dims", 2, "?", 0)),
    "SOFTMAX": (("beta", 0, "f", 0),),
    "RESIZE_BILINEAR": (("align_corners", 2, "?", 0), ("half_pixel_centers", 3, "?", 0)),
    "DEPTH_TO_SPACE": (("block_size", 0, "i", 0),),
    "MEAN": _REDUCER,
    "SUM": _REDUCER,
    "STRIDED_SLICE": (
        ("begin_mask", 0, "i", 0), ("end_mask", 1, "i", 0), ("ellipsis_mask", 2, "i", 0), ("new_axis_mask", 3, "i", 0),
        ("shrink_axis_mask", 4, "i", 0),
    ),
    "PACK": (("values_count", 0, "i", 0), ("axis", 1, "i", 0)),
    "LEAKY_RELU": (("alpha", 0, "f", 0),),
    "BATCH_MATMUL": (("adj_x", 0, "?", 0), ("adj_y", 1, "?", 0)),
}  # fmt: skip
