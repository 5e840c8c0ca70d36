"""The local quality map: scores of overlapping windows. Needs no gradient.

The windows lie flush with the edges, so nothing is ever padded. A pixel of the map is the weighted
mean of the windows that cover it; the weight is a tent in either direction, greatest in a window's
middle. Such a mean is separable, so a map is a product of three small matrices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.metric import QualiCLIP

WINDOW = 224
"""Side of a window, px: the crops that the models are trained on (arXiv 2403.11176, section 4)."""
SMALLEST_WINDOW = 128
"""Side of a window in a small image, px, if the image has it: a smaller piece of a flawless photo
shows too little to be called good."""
OVERLAP = 4
"""Windows over a pixel in either direction."""
BATCH_PIXELS = 2**20
"""Most pixels in a batch of windows: 20 of 224x224."""


def local(
    metric: QualiCLIP, img: Float[Tensor, "n 3 h w"], pairs: Sequence[int]
) -> Float[Tensor, "n 1 h w"]:
    """1 less the score of the windows around each pixel, in units of the score, not stretched.

    Windows are squares of `WINDOW` px, or of half the shorter side where that is less (but of
    `SMALLEST_WINDOW` px if the image has as many), a quarter of their side apart. The cost is
    linear in the area, about 16 scorings of the image at most, and the memory beyond image and map
    is that of `BATCH_PIXELS`.
    """
    return torch.stack([1 - _window_scores(metric, one, list(pairs))[None] for one in img])


@dataclass(frozen=True)
class Axis:
    """Windows along one side of an image: first pixels, ascending, and lengths in px."""

    size: int
    window: int
    starts: tuple[int, ...]

    def tents(self) -> Float[Tensor, "windows size"]:
        """Weight of each window in each pixel; a column adds up to 1."""
        pixel = torch.arange(self.size) + 0.5
        middle = torch.tensor(self.starts)[:, None] + self.window / 2
        weights = (1 - (pixel - middle).abs() * 2 / self.window).clamp_min(0)
        return weights / weights.sum(dim=0)


def axis(size: int, window: int, step: int) -> Axis:
    """Spread windows evenly, at most `step` px apart, the first and the last at the edges.

    A side shorter than a window has one window, as long as itself.
    """
    window = min(window, size)
    gaps = -(-(size - window) // step)
    starts = tuple(round(k * (size - window) / gaps) for k in range(gaps + 1)) if gaps else (0,)
    return Axis(size, window, starts)


def blend(values: Float[Tensor, "rows columns"], rows: Axis, columns: Axis) -> Float[Tensor, "h w"]:
    """Map one value per window to pixels: the weighted mean of the windows over each."""
    ys, xs = rows.tents().to(values), columns.tents().to(values)
    return ys.T @ values @ xs  # (h, rows) (rows, columns) (columns, w)


def _window_scores(
    metric: QualiCLIP, img: Float[Tensor, "3 h w"], pairs: list[int]
) -> Float[Tensor, "h w"]:
    height, width = img.shape[1:]
    shorter = min(height, width)
    side = min(WINDOW, shorter, max(SMALLEST_WINDOW, shorter // 2))
    rows, columns = (axis(size, side, side // OVERLAP) for size in (height, width))
    scores = [
        metric.probabilities(batch)[:, pairs].mean(dim=1) for batch in _batches(img, rows, columns)
    ]
    grid = torch.cat(scores).reshape(len(rows.starts), len(columns.starts))
    return blend(grid.float(), rows, columns)


def _batches(img: Tensor, rows: Axis, columns: Axis) -> Iterator[Float[Tensor, "n 3 s s"]]:
    """Cut out the windows, row by row, in batches of at most `BATCH_PIXELS`."""
    corners = [(top, left) for top in rows.starts for left in columns.starts]
    count = max(1, BATCH_PIXELS // (rows.window * columns.window))
    for first in range(0, len(corners), count):
        yield torch.stack(
            [
                img[:, top : top + rows.window, left : left + columns.window]
                for top, left in corners[first : first + count]
            ]
        )
