"""The rates that this machine reaches at best, and the operations that the RN50 tower needs.

The limit is the highest rate that a matrix product or a convolution of any tried shape reaches in
the same precision; the tower's operations are counted from its layer graph.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qualiclip_metric.encoders.rn50 import RN50Encoder
from qualiclip_metric.engines.layers import Conv, Residual, Stage

MATRICES = (512, 1024, 2048, 4096)
CONVOLUTIONS = ((64, 128), (128, 128), (256, 64), (512, 32))
"""Channels in and out, and height and width, of the 3x3 convolutions tried."""


def operations(height: int, width: int) -> float:
    """Multiplications and additions of the RN50 trunk's convolutions for one image.

    Args:
        height: Of the image, px.
        width: Of the image, px.

    Returns:
        Their number, a fused multiply-add counted as two.
    """
    (stages,) = RN50Encoder().layer_graph().parts
    return _count(stages, height, width)[0]


def _count(stages: Sequence[Stage], height: int, width: int) -> tuple[float, int, int]:
    total = 0.0
    for stage in stages:
        if isinstance(stage, Residual):
            branch, *inner = _count(stage.branch, height, width)
            short = _count(stage.shortcut, height, width)[0]
            total += branch + short + _count((stage.last,), *inner)[0]
        height, width = stage.output(height), stage.output(width)
        if isinstance(stage, Conv):
            total += 2.0 * stage.weight.numel() * height * width
    return total, height, width


def rates(dtype: torch.dtype, seconds: float = 1.0) -> dict[str, float]:
    """Best rates of this machine.

    Args:
        dtype: Of the numbers.
        seconds: How long each shape is tried.

    Returns:
        Operations per second: `matrix`, `convolution` and the higher of them as `limit`.
    """
    best: dict[str, float] = {"matrix": 0.0, "convolution": 0.0}
    with torch.inference_mode():
        for n in MATRICES:
            a, b = torch.rand(n, n).to(dtype), torch.rand(n, n).to(dtype)
            shortest = _shortest(lambda a=a, b=b: a @ b, seconds)  # type: ignore[misc]
            best["matrix"] = max(best["matrix"], 2.0 * n**3 / shortest)
        for channels, side in CONVOLUTIONS:
            weight = torch.rand(channels, channels, 3, 3).to(dtype)
            img = torch.rand(1, channels, side, side).to(dtype)
            shortest = _shortest(_convolution(img, weight), seconds)
            count = 2.0 * weight.numel() * side * side
            best["convolution"] = max(best["convolution"], count / shortest)
    return {**best, "limit": max(best.values())}


def _convolution(img: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    img = img.contiguous(memory_format=torch.channels_last)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return lambda: functional.conv2d(img, weight, padding=1)


def _shortest(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of the shortest of as many calls as fit into a time."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best
