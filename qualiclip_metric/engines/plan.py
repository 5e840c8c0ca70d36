"""What a convolutional trunk computes in evaluation mode, as data that any engine can run.

Knows weights and their order, and no way of computing: `strips` runs a plan in torch, `openvino` in
OpenVINO. Batch normalisation is folded into the convolutions once, when the plan is made; the
modules that it was made from stay as they are.
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

    Args:
        weight: (out, in / groups, kernel, kernel), fp32.
        bias: (out,), fp32.
        stride: Of both axes.
        groups: As in torch.
        activation: What is applied to the outcome.
        same: Pads as TensorFlow's "same" does, by the input's size and more behind than before;
            else half the kernel on each side.
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
        total = max(0, (-(-size // self.stride) - 1) * self.stride + self.kernel - size)
        return total // 2, total - total // 2

    def output(self, size: int) -> int:
        """Size of an axis after the convolution."""
        return (size + sum(self.padding(size)) - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Pool:
    """Average of `kernel` x `kernel` positions, side by side; what is left over is dropped."""

    kernel: int

    def output(self, size: int) -> int:
        """Size of an axis after pooling."""
        return size // self.kernel


@dataclass(frozen=True, eq=False)
class Residual:
    """A sum of two ways: through `branch` and `last`, and through `shortcut`.

    Args:
        branch: Stages of the long way, all but the last.
        last: 1x1 convolution that ends the long way; its activation is applied to the sum.
        shortcut: Stages of the short way; none leaves the input as it is.
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
class Plan:
    """A trunk: RGB in [0, 1] -> one feature map per part, each part going on from the one before.

    Args:
        mean: Subtracted from the image, (3,).
        std: The image is divided by it, (3,).
        parts: Stages of each part. None but the first may begin with a residual whose shortcut is
            the part's input: engines add in place, and that input is an outcome.
        exact: So many leading stages of the first part are computed in fp32 whatever the precision:
            where rounding what they give would show in the score.
    """

    mean: Tensor
    std: Tensor
    parts: tuple[tuple[Stage, ...], ...]
    exact: int = 0

    @property
    def widest(self) -> float:
        """Values per pixel of the image in the largest feature map that any stage gives."""
        return _widest([stage for part in self.parts for stage in part], 1.0)[0]


def _widest(stages: "Sequence[Stage]", area: float) -> tuple[float, float]:
    """Values per pixel in the largest map, and the last map's positions per pixel."""
    most = 0.0
    for stage in stages:
        if isinstance(stage, Conv):
            area /= stage.stride**2
            most = max(most, area * len(stage.weight))
        elif isinstance(stage, Pool):
            area /= stage.kernel**2
        else:
            inner, behind = _widest([*stage.branch, stage.last], area)
            most, area = max(most, inner), behind
    return most, area


def folded(
    conv: nn.Conv2d,
    bn: nn.BatchNorm2d | None = None,
    activation: Activation = "none",
    same: bool = False,
) -> Conv:
    """A convolution with the batch normalisation behind it, in evaluation mode, merged into it."""
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
