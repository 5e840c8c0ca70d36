"""A white-box attack on a score: projected gradient descent within a few grey levels."""

import warnings
from collections.abc import Callable

import torch
from captum.robust import PGD
from torch import Tensor

__all__ = ["STEPS", "NoGradientError", "attack"]

STEPS = 5
REACH = 2.5
"""Length of all steps together, in radii: far enough to cross the ball and come back."""


class NoGradientError(ValueError):
    """The score cannot be attacked through its gradient; the text says why."""


def attack(
    score: Callable[[Tensor], Tensor], image: Tensor, radius: int, *, raising: bool
) -> Tensor:
    """Move the score of (1, 3, H, W) by at most ``radius`` grey levels (PGD in L-infinity).

    ``x_(t+1) = clip(x_t + a sign(grad score(x_t)))``, clipped to the ball around the image and to
    [0, 1], with ``a = REACH * radius / 255 / STEPS``; minus instead of plus to lower the score.

    Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018, 2.1.
    There is no random start. The result is rounded to 8 bits, so that a file of it has the same
    score. `NoGradientError`: the gradient does not exist, is zero everywhere or not finite.
    """
    _check_gradient(score, image)
    epsilon = radius / 255
    pgd = PGD(score, lambda scores, _: scores, lower_bound=0.0, upper_bound=1.0)
    pgd.fgsm.zero_thresh = 0.0  # a pixel of a large photo has a gradient below captum's 1e-6
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Input Tensor .* did not already require gradients")
        attacked: Tensor = pgd.perturb(
            image, epsilon, REACH * epsilon / STEPS, STEPS, target=None, targeted=not raising
        )
    return attacked.detach().mul(255).round().div(255)


def _check_gradient(score: Callable[[Tensor], Tensor], image: Tensor) -> None:
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
