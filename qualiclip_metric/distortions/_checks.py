"""What a batch, a level and a generator must be, and the error where one is not."""

import torch
from torch import Tensor

from qualiclip_metric.distortions.table import LEVELS

_MIN_SIDE = 32  # px
_SLACK = 1e-3  # how far rounding may take a value out of [0, 1] before it looks like a mistake


def check_level(what: str, level: int) -> None:
    """Refuse what is no level, or no height of a ladder.

    Args:
        what: How the error calls it.
        level: 1 to `LEVELS`.

    Raises:
        ValueError: When it is no such integer.
    """
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= LEVELS:
        raise ValueError(f"expected {what} as an integer of 1..{LEVELS}, got {level!r}")


def check_images(img: Tensor, rng: torch.Generator) -> None:
    """Refuse what cannot be degraded, and say what could.

    Args:
        img: To be (N, 3, H, W) RGB in [0, 1], at least 32x32, of a floating dtype.
        rng: To be a generator on the CPU.

    Raises:
        ValueError: When either is not.
    """
    if img.ndim != 4 or img.shape[0] < 1 or img.shape[1] != 3:
        raise ValueError(
            f"expected (N, 3, H, W), got {tuple(img.shape)}; "
            "a single image needs img[None], a grey one img.expand(-1, 3, ...)"
        )
    if min(img.shape[2:]) < _MIN_SIDE:
        raise ValueError(
            f"expected at least {_MIN_SIDE}x{_MIN_SIDE} pixels, got {img.shape[2]}x{img.shape[3]} "
            "(height x width)"
        )
    if not img.is_floating_point():
        raise ValueError(f"expected floating-point RGB in [0, 1], got {img.dtype}; divide by 255")
    low, high = (float(bound) for bound in torch.aminmax(img.detach()))
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise ValueError(
            f"expected RGB in [0, 1], got values from {low:g} to {high:g}; "
            "divide 8-bit values by 255, clamp resized ones"
        )
    if rng.device.type != "cpu":
        raise ValueError(f"expected a generator on the CPU, got one on {rng.device}")
