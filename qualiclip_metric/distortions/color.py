"""Colour diffusion, colour shift, loss and excess of saturation of RGB batches in [0, 1].

CIE Lab is kornia's: sRGB, D65.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from kornia.color import lab_to_rgb, rgb_to_grayscale, rgb_to_lab
from torch import Tensor

from qualiclip_metric.distortions import _random, blur

_EDGE_SIGMA = 4.0  # px by which the edge map of `color_shift` is spread
_SHIFT_FULL = 12.0  # px, the shift of the last level: its weight is 1
_SHARE_GROWTH = 0.4  # exponent of the weight: .37 at 1 px, so that level 1 is visible
_EDGE_FULL = 0.06  # mean luma step per px from which the weight is not reduced


def color_diffusion(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Chroma bleeds: Lab a, b blurred with sigma ``1.5 * amount + 2`` px, times ``amount``."""
    lab = rgb_to_lab(img)
    chroma = amount * blur.gaussian_blur(lab[:, 1:], 1.5 * amount + 2)
    return lab_to_rgb(torch.cat([lab[:, :1], chroma], dim=1))


def color_shift(
    img: Float[Tensor, "n 3 h w"], distance: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Green is displaced by ``distance`` px near edges, in one random direction of the circle.

    The displaced green is mixed in with a weight that grows with the distance, to 1 at 12 px: a
    shift that exceeds the width of the detail does no more damage by its length alone.
    """
    direction = _random.angle(1.0, rng)
    down, right = (round(distance * f(direction)) for f in (math.sin, math.cos))
    green = img[:, 1:2]
    mask = _edges(img) * (distance / _SHIFT_FULL) ** _SHARE_GROWTH
    mixed = green + mask * (_displaced(green, down, right) - green)
    return torch.cat([img[:, :1], mixed, img[:, 2:]], dim=1)


def desaturate(img: Float[Tensor, "n 3 h w"], factor: float) -> Float[Tensor, "n 3 h w"]:
    """HSV saturation times ``factor`` of [0, 1]; 0 leaves the value (largest channel) alone.

    With hue and value fixed, each channel's distance to the value scales with the saturation, so
    that no conversion is needed.
    """
    value = img.amax(dim=1, keepdim=True)
    return value + factor * (img - value)


def oversaturate(img: Float[Tensor, "n 3 h w"], factor: float) -> Float[Tensor, "n 3 h w"]:
    """Lab chroma times ``factor``, clipped to the gamut."""
    lab = rgb_to_lab(img)
    return lab_to_rgb(torch.cat([lab[:, :1], factor * lab[:, 1:]], dim=1))


def _edges(img: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Soft mask of [0, 1], high near luma edges; absolute, so that two crops of a photo agree."""
    luma = F.pad(rgb_to_grayscale(img), (1, 1, 1, 1), mode="replicate")
    across = (luma[..., 1:-1, 2:] - luma[..., 1:-1, :-2]) / 2
    down = (luma[..., 2:, 1:-1] - luma[..., :-2, 1:-1]) / 2
    steepness = blur.gaussian_blur(torch.hypot(across, down), _EDGE_SIGMA)
    return (steepness / _EDGE_FULL).clamp(0, 1)


def _displaced(img: Float[Tensor, "n c h w"], down: int, right: int) -> Float[Tensor, "n c h w"]:
    """The image moved by whole pixels, its border repeated."""
    height, width = img.shape[-2:]
    rows = (torch.arange(height, device=img.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=img.device) - right).clamp(0, width - 1)
    return img[..., rows[:, None], columns]
