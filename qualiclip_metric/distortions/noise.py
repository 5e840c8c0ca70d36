"""White, luma-chroma, impulse and multiplicative noise of RGB batches in [0, 1].

The batch shares one noise field; along a ladder only its strength grows.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.distortions import _random

# ITU-R BT.601, full range (JFIF): how a unit of Y, Cb and Cr shows in R, G and B.
_YCBCR_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def white(
    img: Float[Tensor, "n 3 h w"], variance: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Independent Gaussian noise of ``variance`` on R, G and B."""
    return img + math.sqrt(variance) * _random.normal(tuple(img.shape[1:]), rng, img)


def white_ycbcr(
    img: Float[Tensor, "n 3 h w"], variance: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Independent Gaussian noise of ``variance`` on Y, Cb and Cr (linear, so added in RGB)."""
    field = _random.normal(tuple(img.shape[1:]), rng, img)
    as_rgb = torch.einsum("rc,chw->rhw", img.new_tensor(_YCBCR_TO_RGB), field)
    return img + math.sqrt(variance) * as_rgb


def impulse(
    img: Float[Tensor, "n 3 h w"], density: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Salt and pepper on a fraction ``density`` of the samples, half each.

    A higher density keeps the specks of a lower one: both ends of one uniform field are cut.
    """
    field = _random.uniform(tuple(img.shape[1:]), rng, img)
    salted = torch.where(field > 1 - density / 2, torch.ones_like(img), img)
    return torch.where(field < density / 2, torch.zeros_like(img), salted)


def multiplicative(
    img: Float[Tensor, "n 3 h w"], variance: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Speckle: each sample times one plus Gaussian noise of ``variance``."""
    return img * (1 + math.sqrt(variance) * _random.normal(tuple(img.shape[1:]), rng, img))
