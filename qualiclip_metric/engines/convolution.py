"""A convolution, its bias, its activation and the sum with a shortcut as one operation in torch.

On CPUs these are the fused operations of oneDNN, which torch's own compiler uses
(torch/_inductor/fx_passes/mkldnn_fusion.py). They give no gradients. Elsewhere it is `conv2d`.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from qualiclip_metric.engines.layers import Activation, Conv
from qualiclip_metric.engines.rounding import to_bf16

_FUSED_ACTIVATIONS: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""Activation -> its name and arguments in oneDNN's operations."""


class PreparedConv:
    """A convolution with its weights in one precision on one device.

    Args:
        conv: The convolution; its weights are copied.
        dtype: Precision of weights, inputs and outputs.
        device: Where to compute.
    """

    def __init__(self, conv: Conv, dtype: torch.dtype, device: torch.device) -> None:
        conv = to_bf16(conv) if dtype == torch.bfloat16 else conv
        # Keeps the shape of the weights without a second copy of them.
        self.conv = replace(conv, weight=conv.weight.to("meta"))
        self.activation, self.bounds = _FUSED_ACTIVATIONS[conv.activation]
        self.fused = has_fused_operations(dtype, device)
        self.bias = conv.bias.to(device, dtype)
        weight = conv.weight.to(device, dtype)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        if self.fused and dtype == torch.bfloat16:
            # In fp32 the best layout depends on the input's size, and a wrong one costs more than
            # laying out the weights on each call.
            half = [conv.kernel // 2] * 2
            self.weight = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                weight.to_mkldnn(), half, [conv.stride] * 2, [1, 1], conv.groups
            )

    def __call__(self, rows: Tensor, top: int, bottom: int) -> Tensor:
        """Convolve rows that reach over the whole width of the image.

        Args:
            rows: (N, C, H, W), channels last.
            top: Zero rows to pad above.
            bottom: Zero rows to pad below.

        Returns:
            (N, out, H', W'), channels last.
        """
        conv = self.conv
        left, right = conv.padding(rows.shape[3])
        if top != bottom or left != right:
            rows = functional.pad(rows, (left, right, top, bottom))
            rows = rows.contiguous(memory_format=torch.channels_last)
            left = top = 0
        padding, stride = [top, left], [conv.stride] * 2
        if self.fused:
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                rows, self.weight, self.bias, padding, stride, [1, 1], conv.groups,
                self.activation, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias, stride, padding, 1, conv.groups)
        return _activated(out, conv.activation)

    def add_to(self, other: Tensor, rows: Tensor) -> Tensor:
        """activation(conv(rows) + other), for a 1x1 convolution.

        Args:
            other: (N, out, H, W), channels last; overwritten.
            rows: (N, C, H, W), channels last.
        """
        conv = self.conv
        if not len(rows) * rows.shape[2]:
            return other
        if self.fused and conv.activation != "relu6":
            name = self.activation if conv.activation != "none" else None
            out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
                other, rows, self.weight, self.bias, [0, 0], [1, 1], [1, 1], conv.groups,
                "add", 1.0, name, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias)
        return _activated(other.add_(out), conv.activation)


def _activated(out: Tensor, activation: Activation) -> Tensor:
    if activation == "none":
        return out
    return out.relu_() if activation == "relu" else out.clamp_(0, 6)


def has_fused_operations(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether oneDNN's fused operations serve this precision on this device."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
