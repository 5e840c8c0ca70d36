"""Row tiles: the stages with the largest feature maps, computed on overlapping pieces of an image.

A tile has all rows of the image that its part of the output depends on. The output rows near its
inner edges, which see padding instead of the image, are cut off: the parts together are exactly the
output of the whole image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from qualiclip_metric.engines.layers import Conv, Pool, Stage, largest_map

LARGE_MAP = 8.0
"""Values per pixel of the image; stages with a larger input or output are tiled."""


@dataclass(frozen=True)
class Tile:
    """Rows `top` to `bottom` of the image; of their output, rows `first` to `last` are kept."""

    top: int
    bottom: int
    first: int
    last: int


def count_tiled(stages: Sequence[Stage]) -> int:
    """How many leading stages to tile: all up to the last one with a map above `LARGE_MAP`."""
    count, channels, area = 0, 3, 1.0
    for number, stage in enumerate(stages, start=1):
        taken = channels * area
        made, area = largest_map([stage], area)
        if max(taken, made) > LARGE_MAP:
            count = number
        if not isinstance(stage, Pool):
            channels = len(stage.weight if isinstance(stage, Conv) else stage.last.weight)
    return count


def tiles(stages: Sequence[Stage], height: int, count: int) -> Iterator[Tile]:
    """Divide the output of some stages into `count` tiles of about as many rows, top to bottom.

    There are fewer tiles if the output has fewer rows.
    """
    margin, stride = _reach(stages, 1)
    halo, rows = -(-margin // stride), height  # halo: output rows spoiled at an inner edge
    for stage in stages:
        rows = stage.output(rows)
    count = min(count, rows)
    for first, last in pairwise(rows * number // count for number in range(count + 1)):
        above = max(0, first - halo)
        # Padding to the "same" size depends on whether a height is odd: all tiles are as high as
        # the image modulo the stride, so that their windows lie where the image's do.
        below = (last + halo) * stride + height % stride
        bottom = height if last == rows else min(height, below)
        yield Tile(above * stride, bottom, first - above, last - above)


def _reach(stages: Sequence[Stage], stride: int) -> tuple[int, int]:
    """Return how many rows above or below its own an output row depends on, and its stride.

    Both are in rows of the image; `stride` is that of the stages' input.
    """
    reach = 0
    for stage in stages:
        if isinstance(stage, Conv):
            reach += stage.kernel // 2 * stride
            stride *= stage.stride
        elif isinstance(stage, Pool):
            stride *= stage.kernel
        else:
            inner, stride = _reach([*stage.branch, stage.last], stride)
            reach += inner
    return reach, stride
