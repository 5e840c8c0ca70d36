"""The local quality map: scores of overlapping windows. Needs no gradient."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.explanations.windows import Axis, axis, blend
from qualiclip_metric.metric import QualiCLIP

WINDOW = 224
"""Side of a window, px: the crops that the models are trained on (arXiv 2403.11176, section 4)."""
LEAST = 128
"""Side of a window in a small image, px, if the image has it: a smaller piece of a flawless photo
shows too little to be called good."""
OVERLAP = 4
"""Windows over a pixel in either direction."""
BATCH_PIXELS = 2**20
"""Most pixels in a batch of windows: 20 of 224x224."""


def local(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """1 less the score of the windows around each pixel, in units of the score, not stretched.

    Windows are squares of `WINDOW` px, or of half the shorter side where that is less (but of
    `LEAST` px if the image has as many), a quarter of their side apart. The cost is linear in the
    area, about 16 scorings of the image at most, and the memory beyond image and map is that of
    `BATCH_PIXELS`.
    """
    return torch.stack([1 - quality(metric, one, pairs)[None] for one in img])


def quality(
    metric: QualiCLIP,
    img: Float[Tensor, "3 h w"],
    pairs: Sequence[int],
    window: int = WINDOW,
) -> Float[Tensor, "h w"]:
    """Scores of overlapping windows, blended at full size; in [0, 1], higher is better.

    Args:
        metric: The metric.
        img: RGB in [0, 1].
        pairs: Indices of the antonym pairs whose probabilities are averaged.
        window: Largest side of a window, px.
    """
    height, width = img.shape[1:]
    shorter = min(height, width)
    side = min(window, shorter, max(LEAST, shorter // 2))
    rows, columns = (axis(size, side, side // OVERLAP) for size in (height, width))
    chosen = list(pairs)
    scores = [
        metric.probabilities(batch)[:, chosen].mean(dim=1) for batch in _batches(img, rows, columns)
    ]
    grid = torch.cat(scores).reshape(len(rows.starts), len(columns.starts))
    return blend(grid.float(), rows, columns)


def _batches(img: Tensor, rows: Axis, columns: Axis) -> Iterator[Float[Tensor, "n 3 s s"]]:
    """The windows, row by row, in batches of at most `BATCH_PIXELS`."""
    corners = [(top, left) for top in rows.starts for left in columns.starts]
    count = max(1, BATCH_PIXELS // (rows.window * columns.window))
    for first in range(0, len(corners), count):
        yield torch.stack(
            [
                img[:, top : top + rows.window, left : left + columns.window]
                for top, left in corners[first : first + count]
            ]
        )
