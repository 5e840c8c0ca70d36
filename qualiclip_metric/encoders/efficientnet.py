"""The trunk of EfficientNet-Lite0, with its batch normalisation folded into the convolutions.

State dicts are interchangeable with timm's `tf_efficientnet_lite0`; timm itself is not imported,
because that takes longer than loading the weights.

Reference: Tan and Le 2019, arXiv 1905.11946, table 1; the Lite variants leave out
squeeze-and-excitation, replace swish by ReLU6, and keep stem and head at their widths
(tensorflow/tpu, models/official/efficientnet/lite).
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from qualiclip_metric.engines.layers import Activation, Conv, Residual, Stage, folded_conv

STEM = 32
"""Channels of the first convolution, which halves the resolution."""


@dataclass(frozen=True)
class StageSettings:
    """A stage of blocks of one kind; an expansion of 1 leaves out the convolution that expands."""

    blocks: int  # the first has the stride
    kernel: int
    stride: int
    channels: int
    expansion: int  # channels of the depthwise convolution per input channel


STAGES = (
    StageSettings(1, 3, 1, 16, 1),
    StageSettings(2, 3, 2, 24, 6),
    StageSettings(2, 5, 2, 40, 6),
    StageSettings(3, 3, 2, 80, 6),
    StageSettings(3, 5, 1, 112, 6),
    StageSettings(4, 5, 2, 192, 6),
    StageSettings(1, 3, 1, 320, 6),
)
OUTPUT_STAGES = (4, 6)
"""Stages whose outputs are features: 112 channels at 1/16, 320 at 1/32 of the resolution."""


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding, which depends on the input's size.

    The kernel is no smaller than the stride.
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, out, kernel, stride, kernel // 2, groups=groups)
        fan_out = kernel**2 * out // groups
        nn.init.normal_(self.weight, 0, (2 / fan_out) ** 0.5)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, ceil(H / stride), ceil(W / stride))."""
        stride = self.stride[0]
        if stride == 1:
            return super().forward(x)
        pads = []
        for size in (x.shape[3], x.shape[2]):
            # no division of negative numbers: ONNX rounds their quotients the other way
            total = (size - 1) // stride * stride + self.kernel_size[0] - size
            pads += [total // 2, total - total // 2]  # an odd pixel goes to the right and bottom
        return functional.conv2d(
            functional.pad(x, pads), self.weight, self.bias, stride, 0, 1, self.groups
        )

    def as_stage(self, activation: Activation) -> Conv:
        """The convolution in a layer graph."""
        return folded_conv(self, activation=activation, same=self.stride[0] > 1)


class Block(nn.Module):
    """Pointwise convolution that expands, depthwise one, and pointwise one that reduces.

    The first is left out where nothing expands; there is a shortcut if the shape stays the same.
    """

    def __init__(self, channels: int, settings: StageSettings, stride: int) -> None:
        super().__init__()
        inner = channels * settings.expansion
        if settings.expansion > 1:
            self.conv_pw = SameConv2d(channels, inner, 1)
        self.conv_dw = SameConv2d(inner, inner, settings.kernel, stride, groups=inner)
        last = "conv_pwl" if settings.expansion > 1 else "conv_pw"  # timm's names
        self.add_module(last, SameConv2d(inner, settings.channels, 1))
        self.has_skip = stride == 1 and channels == settings.channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, settings.channels, H / stride, W / stride)."""
        *inner, last = self.children()
        out: Tensor = x
        for conv in inner:
            out = functional.relu6(conv(out))
        out = last(out)
        return out + x if self.has_skip else out

    def stages(self) -> tuple[Stage, ...]:
        """The block in a layer graph."""
        *inner, last = self.children()
        branch = tuple(conv.as_stage("relu6") for conv in inner)  # type: ignore[operator]
        end = last.as_stage("none")  # type: ignore[operator]
        return (Residual(branch, end),) if self.has_skip else (*branch, end)


class EfficientNetLite0(nn.Module):
    """Normalised RGB -> the outputs of `OUTPUT_STAGES`, with random weights at first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, STEM, 3, 2)
        self.blocks = nn.Sequential()
        channels = STEM
        for settings in STAGES:
            blocks = nn.Sequential()
            for index in range(settings.blocks):
                blocks.append(Block(channels, settings, settings.stride if index == 0 else 1))
                channels = settings.channels
            self.blocks.append(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, 112, H / 16, W / 16) and (N, 320, H / 32, W / 32), rounded up."""
        x = functional.relu6(self.conv_stem(x))
        outputs = []
        for index, blocks in enumerate(self.blocks):
            x = blocks(x)
            if index in OUTPUT_STAGES:
                outputs.append(x)
        return tuple(outputs)

    def parts(self) -> tuple[tuple[Stage, ...], ...]:
        """The layer graph's parts, one per output."""
        stages: list[Stage] = [self.conv_stem.as_stage("relu6")]
        parts = []
        for index, blocks in enumerate(self.blocks):
            assert isinstance(blocks, nn.Sequential)
            for block in blocks:
                assert isinstance(block, Block)
                stages += block.stages()
            if index in OUTPUT_STAGES:
                parts.append(tuple(stages))
                stages = []
        return tuple(parts)
