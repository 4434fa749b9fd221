"""Which of its kernels OpenVINO takes for convolutions with per-channel PReLU.

Left to itself OpenVINO 2026.4 takes oneDNN's brgemm convolutions on CPUs with AVX-512. They apply a slope per channel slowly:
with plain ReLUs in place of its PReLUs the landmark network would take 0.80 of the time. The older kernels for blocked
layouts do not suffer from that, so networks with PReLUs ask for them; measured on one core of an EPYC with Zen 5, they
take 0.86 to 0.92 of the time in fp32 (the busier the machine, the nearer to 1). Networks without PReLUs lose by it and
are left alone, and so is bf16, for which the brgemm kernels are those that use AMX. Networks that are fed with another one's
map and not with a picture are left alone, too: from a planar map on, OpenVINO would take its slowest kernels for all of it
(four times the time, the encoder's branch).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

VERSION: Final = 2
"""Changes when compiled networks come out differently."""

_KERNELS: Final = "cpu:jit_avx512_dw,cpu:jit_avx512_1x1,cpu:jit_avx512"
_CONVOLUTIONS: Final = ("Convolution", "GroupConvolution")
_ATTRIBUTE: Final = "primitives_priority"
# Python can neither make nor copy such an attribute otherwise than by reading a network that has it.
_TEMPLATE: Final = f"""<?xml version="1.0"?>
<net name="template" version="11"><layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="1" name="y" type="ReLU" version="opset1">
<rt_info><attribute name="{_ATTRIBUTE}" version="0" value="{_KERNELS}"/></rt_info>
<input><port id="0" precision="FP32"><dim>1</dim></port></input>
<output><port id="1" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="2" name="z" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>1</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges></net>"""


def choose_kernels(openvino: Any, core: Any, model: Any, precision: str) -> bool:
    """Ask for other kernels where they pay. The model is changed in place, its arithmetic is not.

    CPUs without these kernels, and versions of OpenVINO that do not know the attribute, compile as before.

    Returns:
        Whether anything was asked for.
    """
    if precision != "fp32" or not _reads_picture(model):
        return False
    if not any(node.get_type_name() == "PRelu" for node in model.get_ops()):
        return False
    try:
        template = core.read_model(_TEMPLATE, openvino.Tensor(np.zeros(1, np.uint8)))
    except RuntimeError:
        return False
    for source in template.get_ops():
        for key, value in source.get_rt_info().items():
            if key.startswith(_ATTRIBUTE):
                for node in model.get_ops():
                    if node.get_type_name() in _CONVOLUTIONS:
                        node.set_rt_info(value, key)
                return True
    return False


def _reads_picture(model: Any) -> bool:
    """Whether an input has three channels, first or last."""
    shapes = [given.get_partial_shape() for given in model.inputs]
    channels = [axis for shape in shapes if len(shape) == 4 for axis in (shape[1], shape[3])]
    return any(axis.is_static and axis.get_length() == 3 for axis in channels)
