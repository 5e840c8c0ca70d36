"""Brightness and contrast of RGB batches in [0, 1].

The two contrast types keep the reference's names, though its "linear" one is a curve and its
"non-linear" one a straight line.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from qualiclip_metric.distortions import _random


def darken(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Power curve that takes mid-grey down by ``amount`` of (0, 0.5), black and white fixed."""
    power = _power(amount)
    return _on_rgb_and_lightness(img, lambda x: x**power)


def brighten(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """The mirror of `darken`: mid-grey goes up by ``amount`` of (0, 0.5)."""
    power = _power(amount)
    return _on_rgb_and_lightness(img, lambda x: 1 - (1 - x) ** power)


def mean_shift(
    img: Float[Tensor, "n 3 h w"], offset: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Add ``offset`` to, or take it from, every sample; the sign is drawn."""
    return img + _random.sign(rng) * offset


def flatten_midtones(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Cubic through (1/4, 1/4 + amount/4) and (3/4, 3/4 - amount/4); black, mid and white fixed.

    ``amount`` in [0, 0.75]: beyond that the curve would no longer rise.
    """
    centred = 2 * img - 1
    return img - 2 / 3 * amount * centred * (1 - centred**2)


def narrow_range(img: Float[Tensor, "n 3 h w"], half_width: float) -> Float[Tensor, "n 3 h w"]:
    """Map [0, 1] linearly onto 0.5 +- ``half_width``; 0.5 would be the identity."""
    return 0.5 + 2 * half_width * (img - 0.5)


def _power(amount: float) -> float:
    """Exponent of the power curve through (0.5, 0.5 - amount)."""
    return math.log(0.5 - amount) / math.log(0.5)


def _on_rgb_and_lightness(
    img: Float[Tensor, "n 3 h w"], curve: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n 3 h w"]:
    """Mean of the curve on R, G, B, which shifts colours, and on Lab lightness, which does not."""
    lab = rgb_to_lab(img)
    lightness = 100 * curve((lab[:, :1] / 100).clamp(0, 1))
    return (curve(img) + lab_to_rgb(torch.cat([lightness, lab[:, 1:]], dim=1))) / 2
