"""The small image encoder of `lite`: EfficientNet-Lite0 without batch normalisation.

Knows nothing of quality, prompts or files. The batch normalisation of the ImageNet network is
folded into its convolutions once, when training starts (`encoders.imagenet`): the network then
has no statistics that could drift, an image's features cannot depend on its batch, and it is
faster in training and scoring alike.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from qualiclip_metric.encoders.efficientnet import EfficientNetLite0
from qualiclip_metric.encoders.encoder import Encoder
from qualiclip_metric.engines.layers import LayerGraph

CHANNELS = (112, 320)
"""Channels of the two stages that are averaged, at 1/16 and 1/32 of the resolution."""
TEXT_DIM = 384

_TINY = 1e-8
"""Keeps a position that sees nothing, and an image of one quality, from dividing by 0."""
FP32_STAGES = 6
"""Leading convolutions that stay fp32 in lower precisions: rounding what they give puts faint noise
into smooth areas, which the score of a blurred photo would take for detail."""


class Pooling(nn.Module):
    """How much each position of the 1/32 grid counts in an image's features.

    The weight of a position is |f|^2 * exp(-(x^2 + y^2) / (2 centre^2)) * exp(-worst * z): f its
    last stage's features, so that it counts where the network sees something; x and y its place,
    -1 to 1, so that the middle counts more; z the local quality there, less its mean over the
    image and over its standard deviation, so that worse places count more.

    The buffers are part of the model: `head` (432,), what local quality is read from; `centre` and
    `worst`, as above.
    """

    head: Tensor
    centre: Tensor
    worst: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("head", torch.zeros(sum(CHANNELS)))
        self.register_buffer("centre", torch.tensor(1.0))
        self.register_buffer("worst", torch.tensor(0.0))

    def forward(self, grid: Float[Tensor, "n 432 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Weights that sum to 1 over each image."""
        seen = grid[:, CHANNELS[0] :].square().sum(dim=1, keepdim=True) + _TINY
        height, width = _places(grid, 2), _places(grid, 3)
        far = height.square()[:, None] + width.square()
        local = (grid * self.head[:, None, None]).sum(dim=1, keepdim=True)
        away = local - local.mean(dim=(2, 3), keepdim=True)
        spread = (away.square().mean(dim=(2, 3), keepdim=True) + _TINY).sqrt()
        weights = seen * torch.exp(-far / (2 * self.centre**2) - self.worst * away / spread)
        return weights / weights.sum(dim=(2, 3), keepdim=True)


def _places(grid: Tensor, axis: int) -> Float[Tensor, " size"]:
    """Middles of the cells along an axis, between -1 and 1."""
    size = grid.shape[axis]
    return (2 * torch.arange(size, device=grid.device, dtype=grid.dtype) + 1) / size - 1


class LiteEncoder(Encoder):
    """EfficientNet-Lite0 trunk, average of its last two stages, one linear map to the text space.

    Input (N, 3, H, W) RGB in [0, 1]; output (N, 384). The stages have 112 channels at 1/16 and 320
    at 1/32 of the resolution. A randomly started encoder; weights come from a
    checkpoint or from `imagenet.imagenet_state_dict`.

    Args:
        weighted: Whether positions are averaged with the weights of `Pooling`, on one grid of 1/32
            of the resolution; plainly otherwise, each stage on its own grid.
    """

    dim = TEXT_DIM
    trunk: EfficientNetLite0

    def __init__(self, weighted: bool = False) -> None:
        super().__init__((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.trunk = EfficientNetLite0()
        self.pooling = Pooling() if weighted else None
        self.projection = nn.Linear(sum(CHANNELS), TEXT_DIM)

    @property
    def last_stage(self) -> nn.Module:
        """The trunk's last block, 320 channels at 1/32 of the resolution."""
        stage: nn.Module = self.trunk.blocks[-1]
        return stage

    def maps(self, img: Tensor) -> tuple[Tensor, ...]:
        """The last two stages' outcomes."""
        dtype = self.trunk.conv_stem.weight.dtype
        maps: tuple[Tensor, ...] = self.trunk(((img - self.mean) / self.std).to(dtype))
        return maps

    def features(self, maps: tuple[Tensor, ...]) -> Float[Tensor, "n 384"]:
        """Image features in the space of the prompts' text features, not normalised."""
        if self.pooling is None:
            return self.project(_averages(maps))
        with torch.autocast(maps[0].device.type, enabled=False):
            grid = joined(maps)
            pooled = (self.pooling(grid) * grid).sum(dim=(2, 3))
        return self.project(pooled)

    def pooled(self, img: Tensor) -> Float[Tensor, "n 432"]:
        """Spatial average of the last two stages, before the projection."""
        return _averages(self.maps(img))

    def project(self, pooled: Float[Tensor, "*n 432"]) -> Float[Tensor, "*n 384"]:
        """Map pooled features to the text space, in fp32: cosines need all digits."""
        with torch.autocast(pooled.device.type, enabled=False):
            features: Tensor = self.projection(pooled.to(self.projection.weight.dtype))
        return features

    def places(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Every position by itself: its weight (N, h, w), and its features (N, h, w, 384).

        The image's features are the sum of the positions', each times its weight.
        """
        grid = joined(maps)
        even = grid.new_full((len(grid), 1, *grid.shape[2:]), 1 / grid[0, 0].numel())
        weights = even if self.pooling is None else self.pooling(grid)
        return weights[:, 0], self.project(grid.permute(0, 2, 3, 1))

    def layer_graph(self) -> LayerGraph:
        """Two parts, each ending where an average is taken."""
        mean, std = self.mean.flatten(), self.std.flatten()
        return LayerGraph(mean, std, self.trunk.parts(), FP32_STAGES)


def joined(maps: tuple[Tensor, ...]) -> Float[Tensor, "n 432 h w"]:
    """Both stages on the coarser grid, in fp32: the finer averaged two by two."""
    fine, coarse = (stage.float() for stage in maps)
    halved = functional.avg_pool2d(fine, 2, ceil_mode=True, count_include_pad=False)
    return torch.cat([halved, coarse], dim=1)


def _averages(maps: tuple[Tensor, ...]) -> Float[Tensor, "n 432"]:
    return torch.cat([stage.float().mean(dim=(2, 3)) for stage in maps], dim=1)
