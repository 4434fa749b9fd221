"""ONNX operators as functions of torch tensors (opset 13 and later), after https://onnx.ai/onnx/operators/.

None of them reads a value back from the device, copies one to it, or makes a shape depend on data: what they need on the host
stands in the file. So networks made of them can be recorded as CUDA graphs, exported, and traced without a GPU.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F

Sizes = tuple[int, ...]
"""Numbers of the host: shapes, axes, paddings. A single one is an ``int``."""
Attributes = Mapping[str, Any]
Operator = Callable[..., Any]
"""Attributes, then one argument for each input; gives a value, or a tuple of them where the operator has several."""

ON_HOST: Final[Mapping[str, tuple[int, ...]]] = {
    "Clip": (1, 2),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
} | {f"Reduce{kind}": (1,) for kind in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")}
"""Operator -> inputs that are wanted as numbers of the host."""


class UnsupportedError(NotImplementedError):
    """An operator is used in a way that is not offered here; the message says which."""


def _halves(pads: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    return pads[: len(pads) // 2], pads[len(pads) // 2 :]


def _padding(attributes: Attributes, axes: int) -> tuple[list[int], list[int]]:
    """Padding that the operator itself can do, and what ``F.pad`` must do before."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise UnsupportedError(f"auto_pad {attributes['auto_pad'].decode()}")
    before, after = _halves(attributes.get("pads", (0,) * (2 * axes)))
    if list(before) == list(after):
        return list(before), []
    return [0] * axes, [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]


def _conv(attributes: Attributes, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    axes = weight.dim() - 2
    own, extra = _padding(attributes, axes)
    work = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    ones = [1] * axes
    strides, dilations = attributes.get("strides", ones), attributes.get("dilations", ones)
    return work(F.pad(x, extra) if extra else x, weight, bias, strides, own, dilations, attributes.get("group", 1))


def _conv_transpose(
    attributes: Attributes, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> Any:
    axes = weight.dim() - 2
    own, extra = _padding(attributes, axes)
    if extra or "output_shape" in attributes:
        raise UnsupportedError("uneven padding or output_shape")
    work = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    ones, zeros = [1] * axes, [0] * axes
    return work(
        x, weight, bias, attributes.get("strides", ones), own, attributes.get("output_padding", zeros),
        attributes.get("group", 1), attributes.get("dilations", ones),
    )  # fmt: skip


def _max_pool(attributes: Attributes, x: torch.Tensor) -> Any:
    kernel = list(attributes["kernel_shape"])
    own, extra = _padding(attributes, len(kernel))
    ones = [1] * len(kernel)
    work: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    x = F.pad(x, extra, value=-math.inf) if extra else x
    strides, dilations = list(attributes.get("strides", ones)), list(attributes.get("dilations", ones))
    return work(x, kernel, strides, own, dilations, bool(attributes.get("ceil_mode", 0)))


def _average_pool(attributes: Attributes, x: torch.Tensor) -> Any:
    kernel = list(attributes["kernel_shape"])
    own, extra = _padding(attributes, len(kernel))
    counted = bool(attributes.get("count_include_pad", 0))
    if (extra and not counted) or any(size != 1 for size in attributes.get("dilations", ())):
        raise UnsupportedError("uneven padding or dilations")
    work: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    strides = list(attributes.get("strides", [1] * len(kernel)))
    return work(F.pad(x, extra) if extra else x, kernel, strides, own, bool(attributes.get("ceil_mode", 0)), counted)


def _prelu(attributes: Attributes, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    by_channel = x.dim() >= 2 and slope.shape == (x.shape[1], *(1,) * (x.dim() - 2))
    if by_channel or slope.numel() == 1:
        return F.prelu(x, slope.flatten().to(x.dtype))
    return torch.where(x < 0, x * slope, x)


def _gemm(attributes: Attributes, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
    a = a.t() if attributes.get("transA", 0) else a
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if attributes.get("transB", 0) and alpha == beta == 1 and (c is None or c.dim() == 1):
        return F.linear(a, b, c)
    product = a @ (b.t() if attributes.get("transB", 0) else b)
    product = product if alpha == 1 else product * alpha
    return product if c is None else product + (c if beta == 1 else c * beta)


def _pad(attributes: Attributes, x: torch.Tensor, pads: Sizes, fill: Any = None, axes: Sizes | None = None) -> Any:
    before, after = _halves(pads)
    places = [axis % x.dim() for axis in (range(x.dim()) if axes is None else axes)]
    wanted = dict(zip(places, zip(before, after, strict=True), strict=True))
    pairs = [wanted.get(axis, (0, 0)) for axis in range(x.dim())]
    mode = attributes.get("mode", b"constant").decode()
    if mode == "constant":
        value = 0.0 if fill is None else float(fill[0] if isinstance(fill, tuple) else fill)
        return F.pad(x, [size for pair in reversed(pairs) for size in pair], value=value)
    if mode not in ("reflect", "edge") or any(pair != (0, 0) for pair in pairs[:2]):
        raise UnsupportedError(f"mode {mode} over these axes")
    sizes = [size for pair in reversed(pairs[2:]) for size in pair]
    return F.pad(x, sizes, mode="reflect" if mode == "reflect" else "replicate")


def _resize(
    attributes: Attributes, x: torch.Tensor, roi: Any = None, scales: Any = None, sizes: Sizes | None = None
) -> torch.Tensor:
    if "axes" in attributes or x.dim() not in (3, 4):
        raise UnsupportedError("axes")
    if not sizes:
        sizes = tuple(math.floor(size * factor + 1e-6) for size, factor in zip(x.shape, scales, strict=True))
    mode = attributes.get("mode", b"nearest").decode()
    rule = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = attributes.get("nearest_mode", b"round_prefer_floor").decode()
    linear = "bilinear" if x.dim() == 4 else "linear"
    if mode == "linear" and rule in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return F.interpolate(x, size=list(sizes[2:]), mode=linear, align_corners=rule == "align_corners")
    if mode == "nearest" and (rule, rounding) == ("asymmetric", "floor"):
        return F.interpolate(x, size=list(sizes[2:]), mode="nearest")
    if mode == "nearest" and rule == "half_pixel" and rounding in ("round_prefer_floor", "round_prefer_ceil"):
        return F.interpolate(x, size=list(sizes[2:]), mode="nearest-exact")
    raise UnsupportedError(f"mode {mode}, {rule}, {rounding}")


def _grid_sample(attributes: Attributes, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(name := attributes.get("mode", b"linear").decode(), name)
    padding = attributes.get("padding_mode", b"zeros").decode()
    corners = bool(attributes.get("align_corners", 0))
    return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)


def _depth_to_space(attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    side = attributes["blocksize"]
    if attributes.get("mode", b"DCR") == b"CRD":
        return F.pixel_shuffle(x, side)
    rows, channels, height, width = x.shape
    blocks = x.reshape(rows, side, side, channels // side**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(rows, channels // side**2, height * side, width * side)


def _reshape(attributes: Attributes, x: torch.Tensor, shape: Sizes) -> torch.Tensor:
    if attributes.get("allowzero", 0):
        return x.reshape(shape)
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _expand(attributes: Attributes, x: torch.Tensor, shape: Sizes) -> torch.Tensor:
    # A size of 1 leaves an axis as long as it is, in either direction.
    wanted = (1,) * (x.dim() - len(shape)) + tuple(shape)
    own = (1,) * (len(wanted) - x.dim()) + tuple(x.shape)
    return x.expand([mine if size == 1 else size for mine, size in zip(own, wanted, strict=True)])


def _slice(
    attributes: Attributes, x: Any, starts: Sizes, ends: Sizes, axes: Sizes | None = None, steps: Sizes | None = None
) -> Any:
    if isinstance(x, tuple):
        return x[starts[0] : ends[0] : 1 if steps is None else steps[0]]
    parts = [slice(None)] * x.dim()
    turned = []
    places = range(len(starts)) if axes is None else axes
    for axis, start, end, step in zip(places, starts, ends, steps or (1,) * len(starts), strict=True):
        if step == -1 and start in (-1, 2**31 - 1, 2**63 - 1) and end < -(2**30):
            turned.append(axis)
        elif step < 1:
            raise UnsupportedError(f"step {step} over a part of an axis")
        else:
            parts[axis] = slice(start, end, step)
    made = x[tuple(parts)]
    return made.flip(turned) if turned else made


def _gather(attributes: Attributes, x: Any, index: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(x[place] for place in index) if isinstance(index, tuple) else x[index]
    axis = attributes.get("axis", 0)
    if isinstance(index, int):
        return x.select(axis, index)
    made = x.index_select(axis, index.flatten())
    axis %= x.dim()
    return made if index.dim() == 1 else made.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _concat(attributes: Attributes, *parts: Any) -> Any:
    if not isinstance(parts[0], torch.Tensor):
        return tuple(size for part in parts for size in part)
    return torch.cat(parts, attributes["axis"])


def _split(attributes: Attributes, x: torch.Tensor, sizes: Sizes | None = None) -> tuple[torch.Tensor, ...]:
    axis = attributes.get("axis", 0)
    return torch.split(x, list(sizes) if sizes else -(-x.shape[axis] // attributes["num_outputs"]), axis)


def _squeeze(attributes: Attributes, x: Any, axes: Sizes | None = None) -> Any:
    if not isinstance(x, torch.Tensor):
        return x[0]
    return x.squeeze() if axes is None else x.squeeze(axes)


def _unsqueeze(attributes: Attributes, x: Any, axes: Sizes) -> Any:
    if not isinstance(x, torch.Tensor):
        return (x,)
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _shape(attributes: Attributes, x: torch.Tensor) -> Sizes:
    return tuple(x.shape)[attributes.get("start", 0) : attributes.get("end")]


def _cast(attributes: Attributes, x: Any) -> Any:
    if not isinstance(x, torch.Tensor):
        return x
    kind = _CAST.get(attributes["to"])
    if kind is None:
        raise UnsupportedError(f"type {attributes['to']}")
    return x.to(kind)


def _clip(attributes: Attributes, x: torch.Tensor, low: Any = None, high: Any = None) -> torch.Tensor:
    return torch.clamp(x, low, high)


def _layer_norm(
    attributes: Attributes, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    axis = attributes.get("axis", -1) % x.dim()
    return F.layer_norm(x, x.shape[axis:], scale, bias, attributes.get("epsilon", 1e-5))


def _batch_norm(
    attributes: Attributes,
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
) -> torch.Tensor:
    return F.batch_norm(x, mean, var, scale, bias, eps=attributes.get("epsilon", 1e-5))


def _instance_norm(attributes: Attributes, x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=attributes.get("epsilon", 1e-5))


def _flatten(attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    axis = attributes.get("axis", 1)
    return x.flatten(1) if axis == 1 else x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    return x.permute(*attributes.get("perm", tuple(reversed(range(x.dim())))))


def _softmax(attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, attributes.get("axis", -1))


def _global_mean(attributes: Attributes, x: torch.Tensor) -> torch.Tensor:
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def _reduced(work: Callable[[torch.Tensor, Sizes, bool], torch.Tensor]) -> Operator:
    def reduce(attributes: Attributes, x: torch.Tensor, axes: Sizes | None = None) -> torch.Tensor:
        chosen = axes or attributes.get("axes")
        if not chosen:
            if attributes.get("noop_with_empty_axes", 0):
                return x
            chosen = range(x.dim())
        return work(x, tuple(chosen), bool(attributes.get("keepdims", 1)))

    return reduce


def _plain(work: Callable[..., Any]) -> Operator:
    return lambda attributes, *given: work(*given)


def _arithmetic(work: Callable[..., Any], on_sizes: Callable[[int, int], int]) -> Operator:
    def compute(attributes: Attributes, a: Any, b: Any) -> Any:
        if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
            return work(a, b)
        if isinstance(a, int) and isinstance(b, int):
            return on_sizes(a, b)
        long = max(len(side) for side in (a, b) if isinstance(side, tuple))
        both = (side * (long // len(side)) if isinstance(side, tuple) else (side,) * long for side in (a, b))
        return tuple(on_sizes(one, other) for one, other in zip(*both, strict=True))

    return compute


def _divided(a: Any, b: Any) -> torch.Tensor:
    whole = not torch.is_floating_point(a) and not torch.is_floating_point(b)
    return torch.div(a, b, rounding_mode="trunc" if whole else None)


def _folded(work: Callable[..., Any]) -> Operator:
    def fold(attributes: Attributes, *given: torch.Tensor) -> torch.Tensor:
        made = given[0]
        for other in given[1:]:
            made = work(made, other)
        return made

    return fold


_CAST: Final = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16,
    11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip

OPERATORS: Final[Mapping[str, Operator]] = {
    "Abs": _plain(torch.abs),
    "Add": _arithmetic(torch.add, operator.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Ceil": _plain(torch.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _plain(torch.cos),
    "DepthToSpace": _depth_to_space,
    "Div": _arithmetic(_divided, operator.floordiv),
    "Dropout": lambda attributes, x, *rest: x,
    "Elu": lambda attributes, x: F.elu(x, attributes.get("alpha", 1.0)),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _plain(torch.floor),
    "Gather": _gather,
    "Gelu": lambda attributes, x: F.gelu(x, approximate=attributes.get("approximate", b"none").decode()),
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "GridSample": _grid_sample,
    "HardSigmoid": lambda attributes, x: torch.clamp(
        x * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5), 0, 1
    ),
    "HardSwish": _plain(F.hardswish),
    "Identity": lambda attributes, x: x,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda attributes, x: F.leaky_relu(x, attributes.get("alpha", 0.01)),
    "Log": _plain(torch.log),
    "MatMul": _plain(torch.matmul),
    "Max": _folded(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _folded(torch.minimum),
    "Mul": _arithmetic(torch.mul, operator.mul),
    "Neg": _plain(torch.neg),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _plain(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL1": _reduced(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduced(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "ReduceSumSquare": _reduced(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _plain(F.softplus),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _arithmetic(torch.sub, operator.sub),
    "Sum": _folded(torch.add),
    "Tanh": _plain(torch.tanh),
    "Tile": lambda attributes, x, times: x.tile(times),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
"""What networks may be made of."""
