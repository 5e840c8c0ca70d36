"""Layer graph: a convolutional trunk in evaluation mode, as data for the engines.

Batch normalisation is folded into the convolutions when the graph is made; the modules that it was
made from are not changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Activation = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with a square kernel, its bias and its activation.

    `same` pads as TensorFlow does: as far as the input's size needs it, and more behind than
    before. Otherwise half the kernel is padded on each side.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    groups: int = 1
    activation: Activation = "none"
    same: bool = False

    @property
    def kernel(self) -> int:
        """Height and width of the kernel."""
        return self.weight.shape[-1]

    def padding(self, size: int) -> tuple[int, int]:
        """Zeros before and behind an axis of the given size."""
        if not self.same:
            return self.kernel // 2, self.kernel // 2
        # "same": ceil(size / stride) windows, the last of which begins at (windows - 1) * stride
        total = max(0, (-(-size // self.stride) - 1) * self.stride + self.kernel - size)
        return total // 2, total - total // 2

    def output(self, size: int) -> int:
        """Size of an axis after the convolution."""
        return (size + sum(self.padding(size)) - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Pool:
    """Average of `kernel` x `kernel` positions, side by side; an incomplete window is dropped."""

    kernel: int

    def output(self, size: int) -> int:
        """Size of an axis after pooling."""
        return size // self.kernel


@dataclass(frozen=True, eq=False)
class Residual:
    """activation(last(branch(x)) + shortcut(x)), with `last` a 1x1 convolution.

    The activation of `last` is applied to the sum. A shortcut without stages is the identity.
    """

    branch: "tuple[Stage, ...]"
    last: Conv
    shortcut: "tuple[Stage, ...]" = ()

    def output(self, size: int) -> int:
        """Size of an axis after the sum."""
        for stage in self.branch:
            size = stage.output(size)
        return size


Stage = Conv | Pool | Residual


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """A trunk: RGB in [0, 1] -> one feature map per part; a part's input is the map before it.

    Only the first part may begin with a residual whose shortcut is the identity: engines add in
    place, and would overwrite the feature map before it. The first `fp32_stages` stages are
    computed in fp32 in every precision, because rounding their outputs changes the score visibly.
    """

    mean: Tensor
    std: Tensor
    parts: tuple[tuple[Stage, ...], ...]
    fp32_stages: int = 0

    @property
    def max_values_per_pixel(self) -> float:
        """Values in the largest feature map of any stage, per pixel of the image."""
        return largest_map([stage for part in self.parts for stage in part], 1.0)[0]


def largest_map(stages: Sequence[Stage], area: float) -> tuple[float, float]:
    """Return the values of the largest map and the positions of the last one, per pixel.

    `area` is the number of positions of the stages' input per pixel of the image.
    """
    largest = 0.0
    for stage in stages:
        if isinstance(stage, Conv):
            area /= stage.stride**2
            largest = max(largest, area * len(stage.weight))
        elif isinstance(stage, Pool):
            area /= stage.kernel**2
        else:
            inner, area = largest_map([*stage.branch, stage.last], area)
            largest = max(largest, inner)
    return largest, area


def folded_conv(
    conv: nn.Conv2d,
    bn: nn.BatchNorm2d | None = None,
    activation: Activation = "none",
    same: bool = False,
) -> Conv:
    """Fold the batch normalisation (in evaluation mode) behind a convolution into it, in fp32.

    The result shares no memory with `bn`.
    """
    weight, bias = conv.weight.detach().float(), conv.bias
    if bn is not None:
        assert bn.running_mean is not None and bn.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            weight, bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
    elif bias is None:
        bias = torch.zeros(len(weight))
    assert bias is not None
    return Conv(
        weight.detach(), bias.detach().float(), conv.stride[0], conv.groups, activation, same
    )
