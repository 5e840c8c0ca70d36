"""Blurs and over-sharpening of RGB batches in [0, 1]: kernels, and their convolution."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from kornia.color import lab_to_rgb, rgb_to_lab
from scipy.fft import next_fast_len
from torch import Tensor

from qualiclip_metric.distortions import _random

_SHARPEN_SIGMA = 3.0  # px


def gaussian(sigma: float) -> Float[Tensor, "k k"]:
    """Gaussian of standard deviation ``sigma`` px, truncated at 4 sigma as in `scipy.ndimage`."""
    radius = int(4 * sigma + 0.5)
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    line = torch.exp(-0.5 * (x / sigma) ** 2)
    return _normalised(torch.outer(line, line))


def disk(radius: float) -> Float[Tensor, "k k"]:
    """Uniform disk of ``radius`` px; a pixel of the rim weighs as much as the disk covers of it."""
    # covered areas by counting sub-pixels, 128 per radius
    half, samples = math.ceil(radius), math.ceil(128 / radius)
    steps = (2 * half + 1) * samples
    x = (torch.arange(steps, dtype=torch.float64) + 0.5) / samples - half - 0.5
    inside = (x[:, None] ** 2 + x[None, :] ** 2 <= radius**2).double()
    return _normalised(F.avg_pool2d(inside[None, None], samples)[0, 0])


def line(length: float, angle: float) -> Float[Tensor, "k k"]:
    """Segment of ``length`` px through the centre, ``angle`` radians counter-clockwise from right.

    Points on the segment are split bilinearly among their four neighbours, so that every length and
    angle is exact to a fraction of a pixel.
    """
    half = math.ceil(length / 2)
    size = 2 * half + 1
    steps = math.ceil(32 * length)  # points
    along = ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps - 0.5) * length
    x, y = half + along * math.cos(angle), half - along * math.sin(angle)
    columns, rows = (_tent(x, size), _tent(y, size))
    return _normalised(rows.T @ columns)  # (k, m) @ (m, k): the sum over points of row x column


def path(points: Float[Tensor, "2 m"]) -> Float[Tensor, "k k"]:
    """Points (x, y) in px from the centre, each split bilinearly among its four neighbours."""
    half = math.ceil(float(points.abs().max())) + 1
    size = 2 * half + 1
    x, y = points.double() + half
    return _normalised(_tent(y, size).T @ _tent(x, size))


def convolve(
    img: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"]
) -> Float[Tensor, "n c h w"]:
    """Convolve every channel with an odd square kernel; border pixels are repeated outwards.

    By the Fourier transform, whose cost hardly depends on the size of the kernel.
    """
    height, width = img.shape[-2:]
    half = kernel.shape[-1] // 2
    padded = F.pad(img, (half, half, half, half), mode="replicate")
    # The transform wraps around. The wrapped part is the first 2 * half rows and columns, which are
    # cut off, so that no further padding is needed.
    size = [next_fast_len(side, real=True) for side in padded.shape[-2:]]
    weights = kernel.to(img)
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(weights, s=size)
    full: Tensor = torch.fft.irfft2(spectrum, s=size)
    return full[..., 2 * half : 2 * half + height, 2 * half : 2 * half + width]


def gaussian_blur(img: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Gaussian blur, ``sigma`` in px."""
    return convolve(img, gaussian(sigma))


def lens_blur(img: Float[Tensor, "n c h w"], radius: float) -> Float[Tensor, "n c h w"]:
    """Circle of confusion of ``radius`` px."""
    return convolve(img, disk(radius))


def motion_blur(
    img: Float[Tensor, "n c h w"], length: float, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Straight camera motion over ``length`` px, at one random angle."""
    # half a turn: a line has no direction
    return convolve(img, line(length, _random.angle(0.5, rng)))


def high_sharpen(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Unsharp masking of Lab lightness: ``amount`` times the detail that a blur of 3 px removes."""
    lab = rgb_to_lab(img)
    light = lab[:, :1]
    sharp = light + amount * (light - gaussian_blur(light, _SHARPEN_SIGMA))
    return lab_to_rgb(torch.cat([sharp.clamp(0, 100), lab[:, 1:]], dim=1))


def _tent(position: Float[Tensor, " m"], size: int) -> Float[Tensor, "m k"]:
    """Weights of ``size`` pixels in a linear interpolation at each position."""
    pixels = torch.arange(size, dtype=torch.float64)
    return (1 - (position[:, None] - pixels).abs()).clamp(min=0)


def _normalised(kernel: Tensor) -> Tensor:
    return kernel / kernel.sum()
