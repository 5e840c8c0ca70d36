"""Over-sharpening and two losses of contrast of RGB batches in [0, 1].

The two contrast types keep the reference's names, though its "linear" one is a curve and its
"non-linear" one a straight line.
"""

import torch
from jaxtyping import Float
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from qualiclip_metric.distortions import blur

_SHARPEN_SIGMA = 3.0  # px


def high_sharpen(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Unsharp masking of Lab lightness: ``amount`` times the detail that a blur of 3 px removes."""
    lab = rgb_to_lab(img)
    light = lab[:, :1]
    sharp = light + amount * (light - blur.gaussian_blur(light, _SHARPEN_SIGMA))
    return lab_to_rgb(torch.cat([sharp.clamp(0, 100), lab[:, 1:]], dim=1))


def flatten_midtones(img: Float[Tensor, "n 3 h w"], amount: float) -> Float[Tensor, "n 3 h w"]:
    """Cubic through (1/4, 1/4 + amount/4) and (3/4, 3/4 - amount/4); black, mid and white fixed.

    ``amount`` in [0, 0.75]: beyond that the curve would no longer rise.
    """
    centred = 2 * img - 1
    return img - 2 / 3 * amount * centred * (1 - centred**2)


def narrow_range(img: Float[Tensor, "n 3 h w"], half_width: float) -> Float[Tensor, "n 3 h w"]:
    """Map [0, 1] linearly onto 0.5 +- ``half_width``; 0.5 would be the identity."""
    return 0.5 + 2 * half_width * (img - 0.5)
