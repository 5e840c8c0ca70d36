"""Checks of the arguments that all distortions share."""

import torch
from torch import Tensor

from qualiclip_metric.distortions.table import LEVELS

_MIN_SIDE = 32  # px; smaller images have no room for JPEG 2000's wavelets or displaced squares
_SLACK = 1e-3  # rounding of a resize or of bfloat16 exceeds [0, 1] by less


def check_level(what: str, level: int) -> None:
    """Raise ValueError unless an integer of 1 to `LEVELS`; `what` names it in the error."""
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= LEVELS:
        raise ValueError(f"expected {what} as an integer of 1..{LEVELS}, got {level!r}")


def check_images(img: Tensor, rng: torch.Generator) -> None:
    """Raise ValueError unless (N, 3, H, W) float RGB in [0, 1], 32x32 or larger, and a CPU rng."""
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
