"""Undegraded crops as photographers compose them: a blurred background, a low or high key, fog.

An anchored run takes them as undegraded: the subject is sharp, and the tones are meant. Their
ladders degrade the whole crop, so that training tells a background that is out of focus from a
photo that is.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.distortions import _random
from qualiclip_metric.distortions.blur import lens_blur

_GAMMA = 2.2  # a lens blurs light, not the values of a file
_TONES = 4


def compose(img: Float[Tensor, "1 3 h w"], rng: torch.Generator) -> Float[Tensor, "1 3 h w"]:
    """Blur the background (.62 of the draws), change the tones (.18), or both (.20)."""
    kind = _random.between(0.0, 1.0, rng)
    if kind < 0.62 or kind >= 0.8:
        img = _blur_background(img, rng)
    return (img if kind < 0.62 else _change_tones(img, rng)).clamp(0, 1)


def _blur_background(img: Tensor, rng: torch.Generator) -> Tensor:
    """Keep a subject or a focal plane sharp; blur the rest more, the farther it is from it."""
    distance, edge = _distance_from_focus(img, rng)
    outside = (distance / edge).clamp(0, 1)  # 0 in focus, 1 wholly outside it
    far = (distance.clamp_min(0) / 1.2).clamp(0, 1)
    radius = _random.between(3.0, 11.0, rng)  # px, at the largest distance
    light = img**_GAMMA
    near_blur, far_blur = lens_blur(light, 0.45 * radius), lens_blur(light, radius)
    blurred = near_blur * (1 - far) + far_blur * far
    composite: Tensor = (light * (1 - outside) + blurred * outside).clamp(0, 1) ** (1 / _GAMMA)
    return composite


def _distance_from_focus(img: Tensor, rng: torch.Generator) -> tuple[Tensor, float]:
    """Distance of each pixel (h, w) from what is in focus, at most 0 there; width of the edge.

    In units of half the image's side. Of 100 draws 65 have a subject, an ellipse with an uneven
    outline, and 35 a tilted focal plane, a band across the image.
    """
    height, width = img.shape[2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    if _random.chance(0.65, rng):
        x, y = x - _random.between(-0.5, 0.5, rng), y - _random.between(-0.4, 0.6, rng)
        angle = _random.angle(0.5, rng)
        along = x * math.cos(angle) + y * math.sin(angle)
        across = y * math.cos(angle) - x * math.sin(angle)
        radii = _random.between(0.25, 0.7, rng), _random.between(0.2, 0.5, rng)
        outline = torch.randn(1, 1, 5, 5, generator=rng)
        uneven = 0.18 * interpolate(outline, (height, width), mode="bicubic")[0, 0]
        distance = torch.hypot(along / radii[0], across / radii[1]) - 1 + uneven
        return distance, _random.between(0.03, 0.15, rng)
    angle = _random.between(-0.6, 0.6, rng)  # from horizontal
    across = y * math.cos(angle) - x * math.sin(angle) - _random.between(-0.5, 0.5, rng)
    return across.abs() - _random.between(0.15, 0.4, rng), _random.between(0.2, 0.6, rng)


def _change_tones(img: Tensor, rng: torch.Generator) -> Tensor:
    """Low key, high key, fog that thickens upwards, or low contrast: each mild."""
    tone = _random.index(_TONES, rng)
    if tone == 0:
        return img ** _random.between(1.3, 2.0, rng) * _random.between(0.6, 0.95, rng)
    if tone == 1:
        return 1 - (1 - img) ** _random.between(1.2, 1.6, rng)
    if tone == 2:
        top, bottom = _random.between(0.4, 0.75, rng), _random.between(0.0, 0.3, rng)
        fog = torch.linspace(top, bottom, img.shape[2])[:, None]  # by row
        return img * (1 - fog) + _random.between(0.6, 0.9, rng) * fog
    mean = img.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (img - mean) * _random.between(0.5, 0.8, rng)
