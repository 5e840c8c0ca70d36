"""Faults that cameras and networks add to a photo: the links of `chains`.

A link is a function of an image, a strength and a generator. Strength 0 does next to nothing, 1 is
about as bad as photos that people still post; the effect is continuous between. Blur, noise and
exposure act in linear light, as on a sensor; sizes in pixels are for images of 224x224 or more. No
draw depends on the strength. Faults twice as strong made the trained metric agree less with people.
"""

import math

import torch
from jaxtyping import Float
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb, rgb_to_ycbcr, ycbcr_to_rgb
from kornia.filters import bilateral_blur
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.distortions import _random, blur
from qualiclip_metric.distortions.compression import jpeg

Image = Float[Tensor, "n 3 h w"]


def haze(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Scattered light between the camera and the scene, more of it in the distance.

    Koschmieder's law in linear light: transmission exp(-1.4 * strength * depth), with a smooth
    random depth of .35 to 1 that grows towards the top, and air light of a random light grey.
    """
    height, width = img.shape[-2:]
    hills = _random.uniform((1, 1, 4, 4), rng, img)  # few cells: the depth is smooth
    hills = interpolate(hills, size=(height, width), mode="bicubic", align_corners=True)
    rise = torch.linspace(1, 0, height).to(img)[:, None]
    depth = 0.35 + 0.325 * (hills.clamp(0, 1) + rise)  # .35 to 1
    grey = _random.between(0.65, 0.95, rng)
    tint = (_random.between(0.95, 1.0, rng), 1.0, _random.between(1.0, 1.05, rng))
    air = (grey * img.new_tensor(tint)).clamp(max=1).view(3, 1, 1)
    transmission = torch.exp(-1.4 * strength * depth)
    light = transmission * rgb_to_linear_rgb(img) + (1 - transmission) * rgb_to_linear_rgb(air)
    return _encoded(light)


def flat_contrast(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Reduce the contrast around the mean by up to a half, and shift all values up or down."""
    mean = img.mean(dim=(1, 2, 3), keepdim=True)
    shift = _random.between(-0.15, 0.15, rng)
    return mean + (1 - 0.5 * strength) * (img - mean) + shift * strength


def colour_cast(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Wrong white balance: gains exp(strength * d) in linear light, d of length 1 and sum 0."""
    # a sum of 0 keeps the brightness about the same, so that this fault is one of colour alone
    direction = _random.normal((3,), rng, img)
    direction = direction - direction.mean()
    gains = torch.exp(strength * direction / direction.norm())
    return _encoded(rgb_to_linear_rgb(img) * gains.view(3, 1, 1))


def overexposure(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Add up to 2.5 stops of light; values above white are lost."""
    return _encoded(rgb_to_linear_rgb(img) * 2 ** (2.5 * strength))


def defocus(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Blur by a disk of .4 to 6 px radius in linear light, so that highlights grow."""
    # the exponent makes finer steps at mild strengths
    kernel = blur.disk(0.4 + 5.6 * strength**1.3)
    return _encoded(blur.convolve(rgb_to_linear_rgb(img), kernel))


def hand_shake(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Move the camera along a random path; its bounding box has a diagonal of .5 to 17.5 px."""
    points = _walk(rng) * (0.5 + 17 * strength)
    return _encoded(blur.convolve(rgb_to_linear_rgb(img), blur.path(points)))


def low_light(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Remove up to 3 stops of light, add Poisson-Gaussian noise, and amplify part of it again.

    The part is drawn, so that the result is dark, or bright and noisy, or something of both.
    """
    gain, share = 2 ** (-3 * strength), _random.between(0.0, 0.9, rng)
    dark = _noisy(gain * rgb_to_linear_rgb(img), 0.001 * strength, 0.003 * strength, 0.0, rng)
    return _encoded(dark.clamp(0, 1) * (1 / gain) ** share)


def sensor_noise(
    img: Image, strength: float, rng: torch.Generator, denoising: int | None = None
) -> Image:
    """Add Poisson-Gaussian noise, correlated between neighbours in half of the draws; denoise.

    A third of the draws each: no denoising (0), bilateral (1; flattens texture), chroma only (2).
    """
    sigma = 0.06 * strength**1.2
    grain = _random.between(0.6, 1.2, rng) if _random.chance(0.5, rng) else 0.0
    photons, way = _random.between(0.2, 1.0, rng), _random.index(3, rng)
    way = way if denoising is None else denoising
    # `photons` divides the noise between light-dependent and constant
    light, read = 1.2 * photons * sigma**2, 0.35 * (1 - photons) * sigma
    noisy = _encoded(_noisy(rgb_to_linear_rgb(img), light, read, grain, rng))
    if way == 1:
        return bilateral_blur(noisy, 7, 0.02 + 2 * sigma, (1.5, 1.5), "replicate", "l2")
    return _chroma_blurred(noisy, 0.5 + 2.5 * strength) if way == 2 else noisy


def resample(img: Image, strength: float, rng: torch.Generator) -> Image:
    """Resize down by 1 to 4.6 and up again (area, bilinear, bicubic); sharpen half of the draws."""
    height, width = img.shape[-2:]
    down = ("area", "bilinear", "bicubic")[_random.index(3, rng)]
    up = ("bilinear", "bicubic")[_random.index(2, rng)]
    amount = _random.between(0.0, 2.0, rng) if _random.chance(0.5, rng) else 0.0
    factor = 1 + 3.6 * strength**1.2
    small = (max(8, round(height / factor)), max(8, round(width / factor)))
    reduced = interpolate(img, size=small, mode=down, antialias=down != "area")
    back = interpolate(reduced, size=(height, width), mode=up).clamp(0, 1)
    return back + amount * math.sqrt(strength) * (back - blur.gaussian_blur(back, 1.2))


def recompression(img: Image, strength: float, rng: torch.Generator) -> Image:
    """JPEG of quality 80 to 12; in 40 % of the draws a second one on a shifted grid of blocks."""
    twice, share = _random.chance(0.4, rng), _random.between(0.6, 1.0, rng)
    down, right = 1 + _random.index(7, rng), 1 + _random.index(7, rng)
    once = jpeg(img.clamp(0, 1), _quality(strength))
    if not twice:
        return once
    moved = jpeg(once.roll((down, right), dims=(2, 3)), _quality(share * strength))
    return moved.roll((-down, -right), dims=(2, 3))


def _quality(strength: float) -> float:
    """Quality 80 at strength 0, 12 at 1; geometric, because low qualities differ more visibly."""
    return 80 * math.pow(12 / 80, strength)


def _encoded(light: Image) -> Image:
    """Linear light -> sRGB, clipped at black and white."""
    srgb: Tensor = linear_rgb_to_rgb(light.clamp(0, 1))
    return srgb


def _walk(rng: torch.Generator) -> Float[Tensor, "2 points"]:
    """Draw a smooth random path around 0 whose bounding box has a diagonal of 1."""
    steps, finer = 64, 8
    bend = _random.between(0.0, 0.45, rng)
    turn = torch.randn(steps, generator=rng) * bend  # radians per step; 0 is a straight line
    heading = turn.cumsum(0) + _random.angle(1.0, rng)
    speed = 0.3 + torch.rand(steps, generator=rng)
    path = (speed * torch.stack([heading.cos(), heading.sin()])).cumsum(1)
    path = path / (path.amax(1) - path.amin(1)).norm()
    # more points than the path is long in px, so that the kernel has no gaps
    path = interpolate(path[None], size=steps * finer, mode="linear", align_corners=True)[0]
    return path - path.mean(1, keepdim=True)


def _noisy(light: Image, photons: float, read: float, grain: float, rng: torch.Generator) -> Image:
    """Add noise of variance photons * light, and of standard deviation `read`, in linear light."""
    shape = (2, *light.shape[1:])
    field = _random.normal(shape, rng, light)
    if grain:
        kernel = blur.gaussian(grain)
        # a blur lowers the variance to the sum of the squared weights; divide to keep it at 1
        field = blur.convolve(field, kernel) / kernel.square().sum().sqrt().to(light)
    return light + (photons * light.clamp(min=0)).sqrt() * field[0] + read * field[1]


def _chroma_blurred(img: Image, sigma: float) -> Image:
    ycbcr = rgb_to_ycbcr(img)
    chroma = blur.gaussian_blur(ycbcr[:, 1:], sigma)
    back: Tensor = ycbcr_to_rgb(torch.cat([ycbcr[:, :1], chroma], dim=1))
    return back
