"""Gaussian, lens and motion blur of RGB batches in [0, 1]."""

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.distortions import _kernels, _random


def gaussian_blur(img: Float[Tensor, "n 3 h w"], sigma: float) -> Float[Tensor, "n 3 h w"]:
    """Gaussian of standard deviation ``sigma`` px."""
    return _kernels.gaussian_blur(img, sigma)


def lens_blur(img: Float[Tensor, "n 3 h w"], radius: float) -> Float[Tensor, "n 3 h w"]:
    """Circle of confusion of ``radius`` px."""
    return _kernels.convolve(img, _kernels.disk(radius))


def motion_blur(
    img: Float[Tensor, "n 3 h w"], length: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Straight camera motion over ``length`` px, at one random angle."""
    # half a turn: a line has no direction
    return _kernels.convolve(img, _kernels.line(length, _random.angle(0.5, rng)))
