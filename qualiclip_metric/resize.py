"""Reduce large images to a model's scoring size, as a function of tensors.

The same photo may have 0.4 or 20 megapixels, and people judge it as a whole. A model may therefore
have a scoring size: the shorter side to which larger images are reduced, antialiased.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

STRIP_PIXELS = 2**22
"""Largest number of pixels that are float32 at the same time."""


def reduced_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width after reduction to a shorter side in px, 0 for none; small images stay."""
    shorter = min(height, width)
    if not side or shorter <= side:
        return height, width
    return round(height * side / shorter), round(width * side / shorter)


def reduced(img: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 h2 w2"]:
    """Reduce images to a shorter side, with a triangular filter as wide as the reduction.

    Differentiable. In a trace, where sizes are symbols, two products with resampling matrices
    compute the same.
    """
    if not side:
        return img
    if torch.jit._trace.is_tracing():  # type: ignore[no-untyped-call]
        return _reduced_by_matrices(img, side)
    size = reduced_size(img.shape[2], img.shape[3], side)
    if size == tuple(img.shape[2:]):
        return img
    return _resampled(img, size)


def reduced_in_strips(pixels: NDArray[Any], side: int, scale: float) -> Float[Tensor, "1 3 h2 w2"]:
    """Compute `reduced` of one image (H, W, 3), bit for bit, without all pixels as float32.

    The width is reduced first; then rows are independent, and strips of rows can be converted and
    divided by `scale`.
    """
    height, width, _ = pixels.shape
    size = reduced_size(height, width, side)
    rows = torch.empty(1, 3, height, size[1])
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        values = np.divide(pixels[top : top + step], np.float32(scale), dtype=np.float32)
        strip = torch.from_numpy(values).permute(2, 0, 1)[None]
        rows[:, :, top : top + step] = _resampled(strip, (strip.shape[2], size[1]))
    return _resampled(rows, size)


def _resampled(img: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(img, size=size, mode="bilinear", antialias=True)


def _reduced_by_matrices(img: Tensor, side: int) -> Tensor:
    shape = torch._shape_as_tensor(img).float()  # numbers would become constants
    share = (side / torch.minimum(shape[2], shape[3])).clamp(max=1.0)
    rows, columns = (_resampling(shape[axis], share, img) for axis in (2, 3))
    return rows @ img @ columns.T


def _resampling(size: Tensor, share: Tensor, like: Tensor) -> Float[Tensor, "out in"]:
    """Weights of the samples in each output sample, one row per output; rows sum to 1."""
    count = torch.round(size * share)
    step = size / count
    middle = (_numbers(count, like) + 0.5) * step
    places = _numbers(size, like) + 0.5
    weights = (1 - (middle[:, None] - places).abs() / step).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


def _numbers(count: Tensor, like: Tensor) -> Float[Tensor, " count"]:
    """0 to `count` - 1; the count stays a tensor, or the trace would keep the example's."""
    numbers: Tensor = torch.arange(count, device=like.device, dtype=like.dtype)  # type: ignore[call-overload]
    return numbers
