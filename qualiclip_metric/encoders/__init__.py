"""Image encoders: RGB in [0, 1], (N, 3, H, W) -> features (N, D). They know nothing of quality.

Each encoder normalises its own input, takes any size, names the layer that explanations look at
(`last_stage`), the part that a lower precision may compute (`trunk`) and its feature width (`dim`),
and is found by its architecture's name in `ENCODERS`.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.encoders.rn50 import RN50Encoder


@runtime_checkable
class Encoder(Protocol):
    """What `create`, the training and the explanations expect of an image encoder."""

    dim: int
    trunk: nn.Module

    @property
    def last_stage(self) -> nn.Module:
        """The last layer whose output still has a height and a width."""

    def __call__(self, img: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, dim)."""


ENCODERS: dict[str, Callable[[], nn.Module]] = {"lite": LiteEncoder, "rn50": RN50Encoder}
"""Architecture -> constructor of the encoder with random weights."""


def cast_trunk(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Let the trunk compute in another precision, in place.

    Statistics and weights of batch normalisation stay as they are: rounding them would shift every
    feature map, and the layer takes a narrower input as it is.
    """
    for module in encoder.get_submodule("trunk").modules():
        if not isinstance(module, nn.BatchNorm2d):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


__all__ = ["ENCODERS", "Encoder", "LiteEncoder", "RN50Encoder", "cast_trunk"]
