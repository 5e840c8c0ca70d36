"""Table of changes that should not move a score: resize, shift, flip, JPEG, tint, noise."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.images import to_picture

__all__ = ["PERTURBATIONS", "WINDOW", "Perturbation", "eight_bit"]

WINDOW = 32
"""Pixels by which the window of a shift is smaller than the image."""


@dataclass(frozen=True)
class Perturbation:
    """One row of the table."""

    name: str
    unit: str
    strengths: tuple[float, ...]  # from left to right in a plot
    # ``(image, strength, rng)`` -> image, (1, 3, H, W) RGB in [0, 1]
    apply: Callable[[Tensor, float, torch.Generator], Tensor]
    # strength of the version that the others are compared with; None for the image as it is
    origin: float | None = None
    labels: tuple[str, ...] = ()  # names of the strengths; empty: their numbers

    @property
    def ticks(self) -> list[str]:
        """Labels of the strengths."""
        return list(self.labels) or [f"{strength:g}" for strength in self.strengths]


def eight_bit(image: Tensor) -> Tensor:
    """The values that an 8-bit file of the image would hold."""
    return image.clamp(0, 1).mul(255).round().div(255)


def _resize(image: Tensor, factor: float, rng: torch.Generator) -> Tensor:
    """Bicubic, antialiased where it shrinks."""
    size = [round(side * factor) for side in image.shape[-2:]]
    return interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)


def _shift(image: Tensor, pixels: float, rng: torch.Generator) -> Tensor:
    """The same window, ``pixels`` further down and to the right; nothing is padded."""
    height, width = (side - WINDOW for side in image.shape[-2:])
    start = int(pixels)
    return image[..., start : start + height, start : start + width]


def _flip(image: Tensor, axis: float, rng: torch.Generator) -> Tensor:
    return image.flip(int(axis))


def _jpeg(image: Tensor, quality: float, rng: torch.Generator) -> Tensor:
    buffer = io.BytesIO()
    to_picture(image[0]).save(buffer, "JPEG", quality=int(quality))
    with Image.open(buffer) as file:
        decoded = np.asarray(file)
    return torch.tensor(decoded).permute(2, 0, 1)[None].to(image) / 255


def _colour(image: Tensor, distance: float, rng: torch.Generator) -> Tensor:
    """All colours displaced alike, in a random direction of CIE Lab."""
    direction = torch.randn(3, generator=rng)
    direction = distance * direction / direction.norm()
    return lab_to_rgb(rgb_to_lab(image) + direction.to(image)[:, None, None])


def _sign_noise(image: Tensor, levels: float, rng: torch.Generator) -> Tensor:
    """Every value up or down by ``levels`` grey levels at random: an attack without a gradient."""
    bits = torch.randint(0, 2, image.shape, generator=rng).to(image)
    return image + (2 * bits - 1) * levels / 255


PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation("resize", "factor", (0.5, 0.7, 0.85, 1.2, 1.5, 2.0), _resize),
    Perturbation("shift", "px", (1, 2, 4, 8, 16, 31), _shift, origin=0),
    Perturbation("flip", "axis", (3, 2), _flip, labels=("left-right", "up-down")),
    Perturbation("JPEG", "quality", (99, 97, 95), _jpeg),
    Perturbation("colour", "ΔE*ab", (0.5, 1, 2), _colour),
    Perturbation("random-sign noise", "grey levels", (1, 2), _sign_noise),
)
"""A colour displaced by less than 2.3 is not seen to differ (Mahy et al., Color Research &
Application 19(2), 1994)."""
