"""Checks that a tensor is a batch of images: shape, type and values. Errors state the cure."""

import math
from contextlib import nullcontext

import torch
from torch import Tensor

MIN_SIZE = 32
"""Least height and width, px."""
TOLERANCE = 1e-3
"""Distance that a value may lie outside [0, 1], for the rounding of half precision and of colour
conversions: a quarter of a step of 8 bits."""
LOSS_RANGE = (-1.0, 2.0)
"""Values allowed if a gradient with respect to the image is needed: the range of a network that is
being trained. They are not clipped."""


def check_shape(img: Tensor) -> None:
    """Raise ValueError unless float (N, 3, H, W) of at least `MIN_SIZE` pixels on each side."""
    if not isinstance(img, Tensor):
        raise ValueError(
            f"expected a tensor (N, 3, H, W) of RGB in [0, 1], got {type(img).__name__}; "
            "qualiclip_metric.images.read(path) makes one from a file"
        )
    if img.ndim != 4 or img.shape[1] != 3:
        raise ValueError(
            f"expected RGB images of shape (N, 3, H, W), got {tuple(img.shape)}; "
            "add the batch dimension with img[None], "
            "repeat a grey channel with expand(-1, 3, -1, -1)"
        )
    if not img.is_floating_point():
        raise ValueError(f"expected floating point in [0, 1], got {img.dtype}; use img / 255")
    if min(img.shape[2:]) < MIN_SIZE:
        raise ValueError(
            f"expected at least {MIN_SIZE}x{MIN_SIZE} pixels, got {img.shape[2]}x{img.shape[3]} "
            "(height x width); so small an image has no measurable quality"
        )


def check_values(img: Tensor) -> None:
    """Raise ValueError for values that no image has; a network may give them a plausible score.

    Values must be finite and in [0, 1] up to `TOLERANCE`, or in `LOSS_RANGE` if a gradient with
    respect to the image is needed. Nothing is checked on the device `meta`, and while a graph is
    traced or compiled, since there are no values yet. Under `torch.func.vmap` all images are
    checked.
    """
    in_graph = torch.compiler.is_compiling() or torch.jit._trace.is_tracing()  # type: ignore[no-untyped-call]
    if in_graph or img.is_meta or not img.numel():
        return
    as_loss = torch.is_grad_enabled() and img.requires_grad
    low, high = LOSS_RANGE if as_loss else (-TOLERANCE, 1 + TOLERANCE)
    functorch, transformed = torch._C._functorch, False
    while functorch.is_functorch_wrapped_tensor(img):  # vmap, grad, ... of torch.func
        img, transformed = functorch.get_unwrapped(img), True
    with torch._C._DisableFuncTorch() if transformed else nullcontext():
        least, most = extremes(img)
    if low <= least and most <= high:  # false for NaN
        return
    expected = (
        f"finite values in [{LOSS_RANGE[0]:g}, {LOSS_RANGE[1]:g}] for an image with a gradient"
        if as_loss
        else "RGB in [0, 1]"
    )
    found = (
        f"values from {least:g} to {most:g}"  # vmap's dimension may be anywhere: no place is known
        if transformed
        else _first_outside(img.detach(), low, high)
    )
    raise ValueError(f"expected {expected}, got {found}")


def extremes(img: Tensor) -> tuple[float, float]:
    """Least and greatest value of a tensor, NaN if any value is NaN; one pass over its memory."""
    values = img.detach()
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)  # in the order of its memory: aminmax makes no copy
    least, most = torch.stack(torch.aminmax(values)).tolist()
    return least, most


def _first_outside(img: Tensor, low: float, high: float) -> str:
    """State the first value that is out of range, its place and the cure."""
    outside = ~((img >= low) & (img <= high))
    image, channel, row, column = outside.nonzero()[0].tolist()
    value = img[image, channel, row, column].item()
    if not math.isfinite(value):
        cure = "find what computed it: a division by zero, a logarithm of 0, an overflow"
    elif extremes(img[image])[0] >= 0:
        cure = "use img / 255 for values in 0..255, img.clamp(0, 1) for overshoots"
    else:
        cure = "give RGB as it is, not normalised; use img.clamp(0, 1) for overshoots"
    place = f"image {image} of the batch, channel {channel}, row {row}, column {column}"
    return f"{value:.6g} at {place}; {cure}"
