"""Runs a plan in OpenVINO, on CPUs. Knows plans, no models.

The graph is built from the plan itself, without a trace or a file in between, and takes any batch
and size. For bf16 its weights are rounded here: OpenVINO would do it one by one.

Reference: OpenVINO's operation set 13 and the properties of its CPU plugin.
"""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as ops
from torch import Tensor

from qualiclip_metric.engines.plan import Conv, Plan, Pool, Residual, Stage
from qualiclip_metric.engines.rounding import to_bf16

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVINOEngine:
    """A plan, compiled for the CPU.

    Args:
        plan: What to compute.
        dtype: Precision of weights and activations, fp32 or bf16.
        device: Ignored: the CPU it is.

    Raises:
        ValueError: When the precision is another.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype, device: torch.device | None = None) -> None:
        if dtype not in PRECISIONS:
            raise ValueError(f"engine openvino: expected fp32 or bf16, got {dtype}")
        exact = plan.exact if dtype == torch.bfloat16 else 0
        first, *others = plan.parts
        rest = (first[exact:], *others)
        self._exact = _compiled([first[:exact]], torch.float32, plan) if exact else None
        self._rest = _compiled(rest, dtype, None if exact else plan)
        self._one_at_a_time = Lock()

    def __call__(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) RGB in [0, 1] -> the feature map of each part, fp32."""
        pixels = img.detach().float().contiguous().numpy()
        with self._one_at_a_time:
            if self._exact is not None:
                pixels = self._exact.infer([pixels], share_inputs=True)[0]
            found = self._rest.infer([pixels], share_inputs=True)
            return tuple(torch.from_numpy(found[index]) for index in range(len(found)))


def _compiled(parts: Sequence[Sequence[Stage]], dtype: torch.dtype, image: Plan | None) -> Any:
    """What runs some parts: on images, normalised as a plan says, or on a feature map."""
    given = ops.parameter([-1, 3 if image else -1, -1, -1], np.float32, name="given")
    node, ends = _normalised(image, given) if image else given, []
    for part in parts:
        node = _chain(part, node, bf16=dtype == torch.bfloat16)
        ends.append(ops.result(node))
    options = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    graph = ov.Model(ends, [given], "trunk")
    return _core().compile_model(graph, "CPU", options).create_infer_request()


@cache
def _core() -> ov.Core:
    """OpenVINO itself, kept for as long as the process runs.

    Its CPU plugin gives the thread that loads it another stack for signal handlers, and frees that
    stack with the last reference, on whatever thread that is. Without a reference kept here, the
    next signal with a handler (SIGCHLD of a finished worker, Ctrl-C) would end the process.
    """
    return ov.Core()


def _normalised(plan: Plan, image: Any) -> Any:
    scale, shift = 1 / plan.std, plan.mean / plan.std
    return ops.subtract(ops.multiply(image, _per_channel(scale)), _per_channel(shift))


def _chain(stages: Sequence[Stage], node: Any, bf16: bool) -> Any:
    for stage in stages:
        if isinstance(stage, Conv):
            node = _activated(_convolved(stage, node, bf16), stage)
        elif isinstance(stage, Pool):
            size = [stage.kernel] * 2
            node = ops.avg_pool(node, size, [0, 0], [0, 0], size, exclude_pad=True)
        else:
            node = _sum(stage, node, bf16)
    return node


def _sum(stage: Residual, node: Any, bf16: bool) -> Any:
    long = _convolved(stage.last, _chain(stage.branch, node, bf16), bf16)
    return _activated(ops.add(long, _chain(stage.shortcut, node, bf16)), stage.last)


def _convolved(conv: Conv, node: Any, bf16: bool) -> Any:
    conv = to_bf16(conv) if bf16 else conv
    weight = conv.weight.cpu().numpy()
    pads = [conv.kernel // 2] * 2
    options = {
        "strides": [conv.stride] * 2,
        "pads_begin": pads,
        "pads_end": pads,
        "dilations": [1, 1],
        "auto_pad": "same_upper" if conv.same else "explicit",
    }
    if conv.groups > 1:
        grouped = weight.reshape(conv.groups, -1, *weight.shape[1:])
        out = ops.group_convolution(node, grouped, **options)
    else:
        out = ops.convolution(node, weight, **options)
    return ops.add(out, _per_channel(conv.bias))


def _activated(node: Any, conv: Conv) -> Any:
    if conv.activation == "none":
        return node
    return ops.relu(node) if conv.activation == "relu" else ops.clamp(node, 0.0, 6.0)


def _per_channel(values: Tensor) -> Any:
    return values.cpu().numpy().reshape(1, -1, 1, 1)
