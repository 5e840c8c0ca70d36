"""Checks of the arguments that all distortions share."""

import torch
from torch import Tensor

from qualiclip_metric.distortions.table import LEVELS
from qualiclip_metric.input_check import check_shape, check_values


def check_level(name: str, level: int) -> None:
    """Raise ValueError unless an integer of 1 to `LEVELS`."""
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= LEVELS:
        raise ValueError(f"expected {name} as an integer of 1..{LEVELS}, got {level!r}")


def check_images(img: Tensor, rng: torch.Generator) -> None:
    """Raise ValueError unless (N, 3, H, W) float RGB in [0, 1], 32x32 or larger, and a CPU rng."""
    check_shape(img)
    if not len(img):
        raise ValueError("expected at least one image, got none")
    with torch.no_grad():
        check_values(img)
    if rng.device.type != "cpu":
        raise ValueError(f"expected a generator on the CPU, got one on {rng.device}")
