"""A data set's images -> rows of scores, batch by batch, with digests and seconds per image.

The batches depend on the whole data set and the batch size alone, so a resumed run meets the same
ones. Decoding ahead and the isolation of a bad image are those of `qualiclip_metric.scoring`.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.metrics.scorer import Scorer
from benchmarks.results.store import Row
from qualiclip_metric.images import read
from qualiclip_metric.scoring.batches import decode_ahead, plan_batches, score_each

__all__ = ["Batch", "Item", "error_line", "group_batches", "read_resized", "score_batches"]

MAX_PIXELS = 8_000_000
"""Pixels in one batch: two 4K images, eight of 1024x768."""


@dataclass(frozen=True)
class Item:
    """An image to score; the size is what its header says, 0x0 where unreadable."""

    digest: str
    image: str
    path: str
    height: int
    width: int


Batch = tuple[Item, ...]


def group_batches(items: Iterable[Item], batch_size: int) -> list[Batch]:
    """Group images of one size, at most `MAX_PIXELS` a batch, by each size's first image."""
    sizes: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        sizes.setdefault((item.height, item.width), []).append(item)
    return [
        tuple(members[position] for position in positions)
        for size, members in sizes.items()
        for positions, _ in plan_batches(
            [size] * len(members), batch_size, MAX_PIXELS, len(members)
        )
    ]


def read_resized(path: str, short_side: int | None) -> Tensor:
    """Read an image as RGB in [0, 1]; resize its short side, bicubic with antialiasing."""
    image = read(path, colour="raw")
    if short_side is None or min(image.shape[-2:]) == short_side:
        return image
    height, width = image.shape[-2:]
    scale = short_side / min(height, width)
    size = [
        short_side if side == min(height, width) else int(side * scale) for side in (height, width)
    ]
    resized = interpolate(image[None], size, mode="bicubic", antialias=True)
    return resized[0].clamp(0.0, 1.0)


def score_batches(
    scorer: Scorer, batches: Sequence[Batch], *, short_side: int | None = None, workers: int = 0
) -> Iterator[list[Row]]:
    """Score batches in order; a failed image has its error and score NaN.

    ``workers`` threads decode; 0 decodes between the batches.
    """

    def decode(item: Item) -> Tensor | str:
        try:
            return read_resized(item.path, short_side)
        except (ValueError, OSError, RuntimeError, MemoryError) as err:
            return error_line(err)

    def batch_key(image: Tensor) -> object:
        return image.shape if scorer.batched else id(image)

    def forward(images: Sequence[Tensor]) -> list[_Scored] | str:
        try:
            return _forward(scorer, images)
        except Exception as err:  # of any metric: an error of the image, not of the run
            if len(images) > 1:
                return error_line(err)
            return [_Scored(math.nan, error_line(err), 0.0, *images[0].shape[-2:])]

    sized = ((batch, sum(item.height * item.width for item in batch)) for batch in batches)
    for images in decode_ahead(sized, decode, workers):
        yield [_row(item, scored) for item, scored in score_each(images, forward, batch_key)]


@dataclass(frozen=True)
class _Scored:
    """An image's score or error, at the size at which the metric got it."""

    score: float
    error: str
    seconds: float
    height: int
    width: int


def _forward(scorer: Scorer, images: Sequence[Tensor]) -> list[_Scored]:
    assert scorer.score is not None
    batch = torch.stack(list(images)).to(scorer.device)
    start = time.perf_counter()
    scores = scorer.score(batch).detach().double().cpu().tolist()
    seconds = (time.perf_counter() - start) / len(images)
    if len(scores) != len(images):
        raise ValueError(f"the metric gave {len(scores)} scores for {len(images)} images")
    height, width = batch.shape[-2:]
    return [
        _Scored(score, "", seconds, height, width)
        if math.isfinite(score)
        else _Scored(math.nan, f"score is {score}", seconds, height, width)
        for score in scores
    ]


def _row(item: Item, scored: _Scored | str) -> Row:
    if isinstance(scored, str):  # not even decoded
        scored = _Scored(math.nan, scored, 0.0, item.height, item.width)
    return Row(item.digest, item.image, **asdict(scored))


def error_line(err: BaseException) -> str:
    """One line about an exception: its type and the first line of its text, 500 characters."""
    text = (str(err).strip().splitlines() or [""])[0]
    return f"{type(err).__name__}: {text}"[:500]
