"""Overlapping windows over an image, and maps from one value per window.

The windows lie flush with the edges, so nothing is ever padded. A pixel of the map is the weighted
mean of the windows that cover it; the weight is a tent in either direction, greatest in a window's
middle. Such a mean is separable, so a map is a product of three small matrices.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Windows along one side of an image.

    Args:
        size: Length of the side, px.
        window: Length of a window, px, at most `size`.
        starts: First pixel of each window, ascending.
    """

    size: int
    window: int
    starts: tuple[int, ...]

    def tents(self) -> Float[Tensor, "windows size"]:
        """Share of each window in each pixel; a column adds up to 1."""
        place = torch.arange(self.size) + 0.5
        middle = torch.tensor(self.starts)[:, None] + self.window / 2
        weights = (1 - (place - middle).abs() * 2 / self.window).clamp_min(0)
        return weights / weights.sum(dim=0)


def axis(size: int, window: int, step: int) -> Axis:
    """Windows at most `step` apart, evenly spread, the first and the last at the edges.

    Args:
        size: Length of the side, px.
        window: Length of a window, px; a shorter side has one window, as long as itself.
        step: Largest distance of neighbours, px, at most `window`.
    """
    window = min(window, size)
    gaps = -(-(size - window) // step)
    starts = tuple(round(k * (size - window) / gaps) for k in range(gaps + 1)) if gaps else (0,)
    return Axis(size, window, starts)


def blend(values: Float[Tensor, "rows columns"], rows: Axis, columns: Axis) -> Float[Tensor, "h w"]:
    """The map of one value per window: at each pixel the weighted mean of what covers it."""
    ys, xs = rows.tents().to(values), columns.tents().to(values)
    return ys.T @ values @ xs
