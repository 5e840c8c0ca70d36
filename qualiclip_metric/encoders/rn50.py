"""CLIP's RN50 image tower at any size, as QualiCLIP uses it.

The trunk is openai/CLIP's `ModifiedResNet`, with the same parameter names. It is written out here
because importing open_clip takes most of a second and 250 MB. The attention pool differs in two
ways: it has no positional embedding, so that any height and width works, and it computes only the
output of the mean token, which is the one that is used.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualiclip_metric.encoders.encoder import Encoder
from qualiclip_metric.engines.layers import LayerGraph, Pool, Residual, Stage, folded_conv

LAYERS = (3, 4, 6, 3)
STEM = 64
WIDTH = 2048
HEADS = 32
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation of RGB in [0, 1]."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut; averages halve the resolution.

    The 3x3 convolution has `inner` channels; four times as many come out.
    """

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1, self.bn1 = _conv(channels, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3), nn.BatchNorm2d(inner)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = _conv(inner, 4 * inner, 1), nn.BatchNorm2d(4 * inner)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or channels != 4 * inner:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", _conv(channels, 4 * inner, 1))
            self.downsample.add_module("1", nn.BatchNorm2d(4 * inner))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, 4 inner, H / stride, W / stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        shortcut = x if self.downsample is None else self.downsample(x)
        total: Tensor = self.relu(out + shortcut)
        return total


class ModifiedResNet(nn.Module):
    """CLIP's ResNet-50 up to the pool: three convolutions and an average, then four stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, STEM // 2, 3, stride=2), nn.BatchNorm2d(STEM // 2)
        self.conv2, self.bn2 = _conv(STEM // 2, STEM // 2, 3), nn.BatchNorm2d(STEM // 2)
        self.conv3, self.bn3 = _conv(STEM // 2, STEM, 3), nn.BatchNorm2d(STEM)
        self.avgpool = nn.AvgPool2d(2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = self.layers()

    @staticmethod
    def layers() -> list[nn.Sequential]:
        """The four stages; all but the first halve the resolution."""
        layers, channels = [], STEM
        for index, count in enumerate(LAYERS):
            blocks = []
            for number in range(count):
                stride = 2 if index > 0 and number == 0 else 1
                blocks.append(Bottleneck(channels, STEM * 2**index, stride))
                channels = 4 * STEM * 2**index
            layers.append(nn.Sequential(*blocks))
        return layers

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised -> (N, 2048, H / 32, W / 32)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.avgpool(self.relu(self.bn3(self.conv3(x))))
        last: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return last


def _conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)


class MeanTokenPool(nn.Module):
    """Multi-head attention whose single query is the mean over all positions.

    Equal to the first token of CLIP's attention pool without its positional embedding (openai/CLIP,
    `AttentionPool2d`). With one query per head, the key projection can be moved to the query and
    the value projection behind the sum, exactly: q' (K x) = (K' q)' x and sum(a V x) = V sum(a x).
    So no key or value is stored, and the cost is small beside the trunk's at any size.
    """

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, dim)

    def forward(self, feature_map: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        """(N, C, H, W) -> (N, dim)."""
        tokens = feature_map.flatten(2)  # (N, C, positions)
        mean = tokens.mean(dim=2, keepdim=True)  # (N, C, 1), itself a token of the softmax
        n, width, _ = tokens.shape
        per_head = width // self.heads
        query = self.q_proj(mean.squeeze(2)).view(n, self.heads, per_head) * per_head**-0.5
        # The key's bias adds the same to every position of a head, which the softmax cancels.
        key_weight = self.k_proj.weight.view(self.heads, per_head, width)
        query = torch.einsum("nhd,hdc->nhc", query, key_weight)
        # (N, heads, 1 + positions)
        attention = torch.cat([query.bmm(mean), query.bmm(tokens)], dim=2).softmax(dim=-1)
        own, others = attention[..., :1], attention[..., 1:]
        pooled = own.bmm(mean.transpose(1, 2)) + others.bmm(tokens.transpose(1, 2))  # (N, heads, C)
        value_weight = self.v_proj.weight.view(self.heads, per_head, width)
        values = torch.einsum("nhc,hdc->nhd", pooled, value_weight).flatten(1) + self.v_proj.bias
        features: Tensor = self.c_proj(values)
        return features


class RN50Encoder(Encoder):
    """CLIP's modified ResNet-50 and its attention pool; weights are random until loaded.

    Input (N, 3, H, W) RGB in [0, 1]; output (N, 1024), in the space of CLIP's text features.
    The batch normalisation stays unfolded for training, but always in evaluation mode, so that an
    image's features do not depend on its batch.
    """

    dim = 1024
    trunk: ModifiedResNet

    def __init__(self) -> None:
        super().__init__(MEAN, STD)
        self.trunk = ModifiedResNet()
        self.pool = MeanTokenPool(WIDTH, HEADS, self.dim)

    @property
    def last_stage(self) -> nn.Module:
        """The trunk's last stage, 2048 channels at 1/32 of the resolution."""
        stage: nn.Module = self.trunk.layer4
        return stage

    def maps(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> (N, 2048, H / 32, W / 32)."""
        dtype = self.trunk.conv1.weight.dtype
        return (self.trunk(((img - self.mean) / self.std).to(dtype)),)

    def features(self, maps: tuple[Tensor, ...]) -> Float[Tensor, "n 1024"]:
        """The attention pool, in its weights' precision: cosines need all digits."""
        (feature_map,) = maps
        with torch.autocast(feature_map.device.type, enabled=False):
            features: Tensor = self.pool(feature_map.to(self.pool.q_proj.weight.dtype))
        return features

    def layer_graph(self) -> LayerGraph:
        """The trunk as one part: three convolutions and a pool, then four stages of blocks."""
        trunk = self.trunk
        stages: list[Stage] = [
            folded_conv(trunk.conv1, trunk.bn1, "relu"),
            folded_conv(trunk.conv2, trunk.bn2, "relu"),
            folded_conv(trunk.conv3, trunk.bn3, "relu"),
            Pool(2),
        ]
        for layer in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            stages += [_residual(block) for block in layer]
        return LayerGraph(self.mean.flatten(), self.std.flatten(), (tuple(stages),))


def _residual(block: nn.Module) -> Residual:
    """Bottleneck block in a layer graph; both branches halve the resolution by averaging."""
    assert isinstance(block, Bottleneck)
    pool = (Pool(block.stride),) if block.stride > 1 else ()
    branch = (
        folded_conv(block.conv1, block.bn1, "relu"),
        folded_conv(block.conv2, block.bn2, "relu"),
        *pool,
    )
    shortcut: tuple[Stage, ...] = ()
    if block.downsample is not None:
        _, conv, bn = block.downsample
        assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
        shortcut = (*pool, folded_conv(conv, bn))
    return Residual(branch, folded_conv(block.conv3, block.bn3, "relu"), shortcut)
