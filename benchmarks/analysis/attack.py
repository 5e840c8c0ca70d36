"""A white-box attack on a score: projected gradient steps within a few grey levels of the image.

Knows a differentiable function of pixels. Must not know metrics, photos or reports.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["STEPS", "NoGradientError", "attack"]

STEPS = 5
REACH = 2.5
"""Length of all steps together, in radii: far enough to cross the ball and come back."""


class NoGradientError(ValueError):
    """The score cannot be attacked through its gradient; the text says why."""


def attack(
    score: Callable[[Tensor], Tensor],
    image: Tensor,
    radius: int,
    *,
    raising: bool,
    steps: int = STEPS,
) -> Tensor:
    """Move a score as far as pixels within ``radius`` grey levels let it (PGD in L-infinity).

    Args:
        score: (1, 3, H, W) -> (1,), differentiable.
        image: (1, 3, H, W) RGB in [0, 1], of 8-bit values.
        radius: Largest change of a value, in steps of 1/255.
        raising: Whether to raise the score or to lower it.
        steps: Gradient steps.

    Returns:
        The attacked image, rounded to 8 bits: a file of it has the same score. No random start, so
        the same input gives the same output.

    Raises:
        NoGradientError: The gradient does not exist, is zero everywhere or not finite.

    Reference: Madry et al., Towards deep learning models resistant to adversarial attacks,
    ICLR 2018, section 2.1.
    """
    epsilon = radius / 255
    step = (1 if raising else -1) * REACH * epsilon / steps
    low, high = (image - epsilon).clamp(min=0), (image + epsilon).clamp(max=1)
    moved = image
    for _ in range(steps):
        moved = moved + step * _gradient(score, moved).sign()
        moved = moved.clamp(low, high)
    return moved.mul(255).round().div(255)


def _gradient(score: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.enable_grad():
        pixels = image.detach().clone().requires_grad_()
        value = score(pixels).sum()
        if not value.requires_grad:
            raise NoGradientError("no gradient reaches the pixels")
        (gradient,) = torch.autograd.grad(value, pixels, allow_unused=True)
    if gradient is None:
        raise NoGradientError("no gradient reaches the pixels")
    if not gradient.isfinite().all():
        raise NoGradientError("its gradient is not finite")
    if not gradient.any():
        raise NoGradientError("its gradient is zero everywhere")
    return gradient
