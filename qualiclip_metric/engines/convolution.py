"""A convolution, its bias, its activation and the sum with a shortcut as one operation in torch.

On CPUs these are the fused operations of oneDNN, which torch's own compiler uses
(torch/_inductor/fx_passes/mkldnn_fusion.py). They give no gradients. They are private to torch:
where a version lacks them or gives them other arguments, and on other devices, it is `conv2d`.

oneDNN wants the weights in a layout that depends on the processor, the precision and the input's
size. Each layout is made once and kept: laying out anew at each call would cost more than a small
convolution.
"""

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from qualiclip_metric.engines.layers import Activation, Conv

_FUSED_ACTIVATIONS: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""Activation -> its name and arguments in oneDNN's operations."""


MAX_INPUT_SIZES = 8
"""Input sizes per convolution whose layout of the weights is kept: the first, the middle and the
last strips of two image sizes, and two batches."""


class PreparedConv:
    """A convolution with its weights in one precision on one device.

    `fused` chooses torch's fused operations; default: where they work.
    """

    def __init__(
        self,
        conv: Conv,
        dtype: torch.dtype,
        device: torch.device,
        fused: bool | None = None,
    ) -> None:
        # a meta tensor has the shape of the weights and no memory
        self.conv = replace(conv, weight=conv.weight.to("meta"))
        self.activation, self.bounds = _FUSED_ACTIVATIONS[conv.activation]
        self.fused = has_fused_operations(dtype, device) if fused is None else fused
        self.bias = conv.bias.to(device, dtype)
        weight = conv.weight.to(device, dtype)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self._layouts: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, rows: Tensor, top: int, bottom: int) -> Tensor:
        """Convolve rows (N, C, H, W), channels last, that reach over the whole width of the image.

        `top` and `bottom` are the zero rows to pad above and below.
        """
        conv = self.conv
        left, right = conv.padding(rows.shape[3])
        if top != bottom or left != right:
            # both operations below pad an axis on its two sides alike; the rest is padded here
            rows = functional.pad(rows, (left, right, top, bottom))
            rows = rows.contiguous(memory_format=torch.channels_last)
            left = top = 0
        padding, stride = [top, left], [conv.stride] * 2
        if self.fused:
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                rows, self._laid_out(rows, padding), self.bias, padding, stride, [1, 1],
                conv.groups, self.activation, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias, stride, padding, 1, conv.groups)
        return _activated(out, conv.activation)

    def add_to(self, other: Tensor, rows: Tensor) -> Tensor:
        """Compute activation(conv(rows) + other) of a 1x1 convolution; overwrites `other`."""
        conv = self.conv
        if not len(rows) * rows.shape[2]:  # a strip too short for an output row
            return other
        if self.fused and conv.activation != "relu6":  # the fused sum has no clamp behind it
            name = self.activation if conv.activation != "none" else None
            out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
                other, rows, self._laid_out(rows, [0, 0]), self.bias, [0, 0], [1, 1], [1, 1],
                conv.groups, "add", 1.0, name, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias)
        return _activated(other.add_(out), conv.activation)

    def _laid_out(self, rows: Tensor, padding: list[int]) -> Tensor:
        """The weights in the layout that oneDNN wants for an input of this size."""
        key = (*rows.shape, *padding)
        found = self._layouts.get(key)
        if found is None:
            found = _lay_out(self.weight, self.conv, list(rows.shape), padding)
            layout = torch.ops.mkldnn._get_mkldnn_serialized_md(found)
            # several sizes often have one layout: keep one copy of the weights for them
            for other in self._layouts.values():
                if torch.equal(torch.ops.mkldnn._get_mkldnn_serialized_md(other), layout):
                    found = other
            if len(self._layouts) >= MAX_INPUT_SIZES:
                # the oldest; another thread may have removed it already
                self._layouts.pop(next(iter(self._layouts)), None)
            self._layouts[key] = found
        return found


def _lay_out(weight: Tensor, conv: Conv, size: list[int], padding: list[int]) -> Tensor:
    laid_out: Tensor = torch.ops.aten.mkldnn_reorder_conv2d_weight(
        weight.contiguous().to_mkldnn(), padding, [conv.stride] * 2, [1, 1], conv.groups, size
    )
    return laid_out


def _activated(out: Tensor, activation: Activation) -> Tensor:
    if activation == "none":
        return out
    return out.relu_() if activation == "relu" else out.clamp_(0, 6)


@cache
def has_fused_operations(dtype: torch.dtype, device: torch.device) -> bool:
    """Try oneDNN's fused operations on this device; False if they fail or give other results."""
    if device.type != "cpu" or dtype not in (torch.float32, torch.bfloat16):
        return False
    # 64 channels: a multiple of every vector length, so that the fast kernels are tried
    weight = torch.linspace(-1, 1, 64 * 64, dtype=dtype).view(64, 64, 1, 1)
    conv = Conv(weight, torch.zeros(64), activation="relu")
    rows = torch.linspace(0, 1, 64 * 16, dtype=dtype).view(1, 64, 4, 4)
    rows = rows.contiguous(memory_format=torch.channels_last)
    results = []
    for fused in (True, False):
        op = PreparedConv(conv, dtype, device, fused)
        try:
            results.append(torch.cat([op(rows, 0, 0), op.add_to(rows.clone(), rows)]))
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False
    fused_result, result = results
    # another order of summation in fp32; two roundings of bf16, which has 8 bits of mantissa
    tolerance = 1e-4 if dtype == torch.float32 else 2e-2
    return torch.allclose(fused_result, result, rtol=tolerance, atol=tolerance)
