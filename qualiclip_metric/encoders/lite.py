"""The small image encoder of `lite`: EfficientNet-Lite0 without batch normalisation.

The batch normalisation of the ImageNet network is folded into its convolutions once, when training
starts (`encoders.imagenet`). So no statistics can drift, an image's features cannot depend on its
batch, and training and scoring are faster.
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
"""Avoids 0 / 0 where all activations are 0, and where all positions have the same quality."""
FP32_STAGES = 6
"""Leading convolutions that stay fp32 in lower precisions: rounded outputs would be faint noise in
smooth areas, which raises the score of a blurred photo as detail would."""


class Pooling(nn.Module):
    """Weight of each position of the 1/32 grid in an image's features.

    The weight is activation * exp(-distance^2 / (2 centre^2)) * exp(-worst * z), with

    - activation: |f|^2 of the last stage's features f, high where the network responds;
    - distance: from the image's center, whose border is at 1 along each axis;
    - z: local quality, standardised over the image, so that low quality weighs more.

    The buffers are part of the model and have these names in published files: `head` (432,), the
    linear head of local quality; `centre`, the Gaussian's standard deviation (`center_sigma` in
    training); `worst`, the preference for low quality (`low_quality_weight`).
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
        # squared: of the exponents 1, 2 and 3, 2 agreed best with people (docs/lab/lite.md)
        activation = (
            grid[:, CHANNELS[0] :].square().sum(dim=1, keepdim=True) + _TINY
        )  # (N, 1, h, w)
        rows, columns = _cell_centers(grid, 2), _cell_centers(grid, 3)
        distance_from_center = rows.square()[:, None] + columns.square()  # (h, w), squared
        quality = (grid * self.head[:, None, None]).sum(dim=1, keepdim=True)  # (N, 1, h, w)
        # the head's bias is left out, because it cancels here
        deviation = quality - quality.mean(dim=(2, 3), keepdim=True)
        spread = (deviation.square().mean(dim=(2, 3), keepdim=True) + _TINY).sqrt()
        weights = activation * torch.exp(
            -distance_from_center / (2 * self.centre**2) - self.worst * deviation / spread
        )
        return weights / weights.sum(dim=(2, 3), keepdim=True)


def _cell_centers(grid: Tensor, axis: int) -> Float[Tensor, " size"]:
    """Coordinates of the cells' centers along an axis; the image's borders are at -1 and 1."""
    size = grid.shape[axis]
    return (2 * torch.arange(size, device=grid.device, dtype=grid.dtype) + 1) / size - 1


class LiteEncoder(Encoder):
    """EfficientNet-Lite0 trunk, average of its last two stages, one linear map to the text space.

    Input (N, 3, H, W) RGB in [0, 1]; output (N, 384). Weights are random until loaded from a
    checkpoint or from `imagenet.imagenet_state_dict`.

    Args:
        weighted: Whether to average with the weights of `Pooling`, both stages on the grid of 1/32
            of the resolution; otherwise a plain mean of each stage on its own grid.
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
        """(N, 3, H, W) -> (N, 112, H / 16, W / 16) and (N, 320, H / 32, W / 32), rounded up."""
        dtype = self.trunk.conv_stem.weight.dtype
        maps: tuple[Tensor, ...] = self.trunk(((img - self.mean) / self.std).to(dtype))
        return maps

    def features(self, maps: tuple[Tensor, ...]) -> Float[Tensor, "n 384"]:
        """Image features in the space of the prompts' text features, not normalised."""
        return self.project(self.weighted(maps))

    def weighted(self, maps: tuple[Tensor, ...]) -> Float[Tensor, "n 432"]:
        """Average of the last two stages as it is scored, with the weights of `pooling`."""
        if self.pooling is None:
            return _averages(maps)
        with torch.autocast(maps[0].device.type, enabled=False):
            grid = joined(maps)
            weights: Tensor = self.pooling(grid)
            return (weights * grid).sum(dim=(2, 3))  # (N, 1, h, w) * (N, 432, h, w)

    def pooled_and_features(self, img: Tensor) -> tuple[Tensor, Tensor]:
        """`weighted`, (N, 432), and `forward`, (N, 384), from one pass of the trunk."""

        def both(maps: tuple[Tensor, ...]) -> Tensor:
            pooled = self.weighted(maps)
            return torch.cat([pooled, self.project(pooled)], dim=1)

        joint: Tensor = self.from_maps(img, both)
        return joint[:, : sum(CHANNELS)], joint[:, sum(CHANNELS) :]

    def pooled(self, img: Tensor) -> Float[Tensor, "n 432"]:
        """Spatial average of the last two stages, before the projection."""
        return _averages(self.maps(img))

    def project(self, pooled: Float[Tensor, "*n 432"]) -> Float[Tensor, "*n 384"]:
        """Map pooled features to the text space, in fp32: cosines need all digits."""
        with torch.autocast(pooled.device.type, enabled=False):
            features: Tensor = self.projection(pooled.to(self.projection.weight.dtype))
        return features

    def places(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Weight (N, h, w) and features (N, h, w, 384) of each position.

        The image's features are the weighted sum of the positions' features.
        """
        grid = joined(maps)
        even = grid.new_full((len(grid), 1, *grid.shape[2:]), 1 / grid[0, 0].numel())
        weights = even if self.pooling is None else self.pooling(grid)
        return weights[:, 0], self.project(grid.permute(0, 2, 3, 1))

    def layer_graph(self) -> LayerGraph:
        """Two parts, one for each stage that is averaged."""
        mean, std = self.mean.flatten(), self.std.flatten()
        return LayerGraph(mean, std, self.trunk.parts(), FP32_STAGES)


def joined(maps: tuple[Tensor, ...]) -> Float[Tensor, "n 432 h w"]:
    """Join both stages on the coarser grid, in fp32; the finer is averaged 2x2."""
    # at an odd border the mean is of what is there, without the padding's zeros
    fine, coarse = (stage.float() for stage in maps)
    halved = functional.avg_pool2d(fine, 2, ceil_mode=True, count_include_pad=False)
    return torch.cat([halved, coarse], dim=1)


def _averages(maps: tuple[Tensor, ...]) -> Float[Tensor, "n 432"]:
    return torch.cat([stage.float().mean(dim=(2, 3)) for stage in maps], dim=1)
