"""Weights in bf16 that keep what they add up to. Knows convolutions as a plan has them.

Rounding a weight to bf16 moves it by up to 0.4 %. What goes into a convolution here comes out of a
ReLU, so it is positive, and such errors do not cancel: each output channel is shifted, the same way
at every place of every image. So a few weights per output channel are rounded the other way, until
their sum and the bias are as before, but for less than one rounding step of the smallest.

Reference: the shift, and the cure of correcting it without data, are those of Nagel et al. 2019,
arXiv 1906.04721, section 4.2; there the bias takes the correction, which bf16 would round again.
"""

from dataclasses import replace

import torch
from torch import Tensor

from qualiclip_metric.engines.plan import Conv

FLIPS = 4
"""Weights per output channel that may be rounded the other way."""


def to_bf16(conv: Conv) -> Conv:
    """A convolution whose weights and bias, still stored as fp32, are numbers of bf16."""
    exact = conv.weight.flatten(1)
    near = exact.bfloat16()
    toward = torch.where(exact > near.float(), torch.inf, -torch.inf).bfloat16()
    other = torch.nextafter(near, toward).float()
    rounded = near.float()
    bias = conv.bias.bfloat16().float()
    excess = (rounded - exact).sum(dim=1) + bias - conv.bias
    _flip(rounded, other, excess)
    return replace(conv, weight=rounded.view_as(conv.weight), bias=bias)


def _flip(rounded: Tensor, other: Tensor, excess: Tensor) -> None:
    """Exchange up to `FLIPS` weights per row, each time the one that leaves the least excess."""
    change = torch.where(other.isfinite(), other - rounded, torch.inf)
    for _ in range(FLIPS):
        left, column = (excess[:, None] + change).abs().min(dim=1)
        (row,) = (left < excess.abs()).nonzero(as_tuple=True)
        place = (row, column[row])
        rounded[place] = other[place]
        excess[row] += change[place]
        change[place] = torch.inf
