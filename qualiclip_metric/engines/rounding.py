"""Rounds a convolution's weights to bf16 so that the sum of each output channel is kept.

Rounding to bf16 changes a weight by up to 0.4 %. The inputs of these convolutions come out of a
ReLU and are not negative, so the errors do not cancel: each output channel is shifted by about the
same amount at every position of every image. Therefore a few weights of each output channel are
rounded to the farther neighbour, so that the sum of weights and bias stays as it was, up to less
than the rounding step of the smallest weight.

Reference: Nagel et al. 2019, arXiv 1906.04721, section 4.2, describe the shift and correct it
without data. They correct the bias, which bf16 would round again. (OpenVINO adds biases in fp32 and
gets them unrounded.)
"""

from dataclasses import replace

import torch
from torch import Tensor

from qualiclip_metric.engines.layers import Conv

MAX_FLIPS = 4
"""Weights per output channel that may be rounded to the farther neighbour."""


def to_bf16(conv: Conv) -> Conv:
    """Round weights and bias to numbers of bf16, stored as fp32."""
    exact = conv.weight.flatten(1)  # (out, in / groups * kernel * kernel)
    nearest = exact.bfloat16()
    # the neighbour on the other side of the exact value
    direction = torch.where(exact > nearest.float(), torch.inf, -torch.inf).bfloat16()
    farther = torch.nextafter(nearest, direction).float()
    rounded = nearest.float()
    bias = conv.bias.bfloat16().float()
    # (out,): response to an input of ones, which stands for the mean of a map behind a ReLU
    excess = (rounded - exact).sum(dim=1) + bias - conv.bias
    _reduce_excess(rounded, farther, excess)
    return replace(conv, weight=rounded.view_as(conv.weight), bias=bias)


def _reduce_excess(rounded: Tensor, farther: Tensor, excess: Tensor) -> None:
    """Exchange up to `MAX_FLIPS` weights per row, each time the one that leaves least excess.

    In place. `farther` is the other neighbour of each weight in bf16; `excess` (out,) is by how
    much each row's sum is too large.
    """
    # inf: never chosen. (The next number above the largest one of bf16 is infinite.)
    change = torch.where(farther.isfinite(), farther - rounded, torch.inf)
    for _ in range(MAX_FLIPS):
        left, column = (excess[:, None] + change).abs().min(dim=1)  # (out,), (out,)
        (row,) = (left < excess.abs()).nonzero(as_tuple=True)
        index = (row, column[row])
        rounded[index] = farther[index]
        excess[row] += change[index]
        change[index] = torch.inf  # each weight is exchanged once
