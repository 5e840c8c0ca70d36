"""A dataset's images -> rows of scores: what a benchmark adds to `qualiclip_metric.scoring`.

Knows digests, the seconds per image, the resize of the short side, and metrics that take one image
at a time; the decoding ahead and the care for a bad image are the package's. Knows no dataset and
writes nothing. The plan of batches depends on the whole dataset and the batch size alone, so a
resumed run meets the same batches.
"""

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


def plan(items: Iterable[Item], batch_size: int) -> list[Batch]:
    """Batches of same-size images, in the order in which each size first appears."""
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


def decode(path: str, short_side: int | None) -> Tensor:
    """Read an image as (3, H, W) RGB in [0, 1]; optionally resize its short side.

    The resize is bicubic with antialiasing, clamped to [0, 1].
    """
    image = read(path)
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
    """Score batches in order.

    Args:
        scorer: The metric. Whatever it throws at an image is that image's error.
        batches: What :func:`plan` gave, or a part of it.
        short_side: Resize the short side to this many pixels.
        workers: Decoding threads; 0 decodes between the batches.

    Yields:
        The rows of each batch. A failed image has its error and score NaN.
    """

    def decoded(item: Item) -> Tensor | str:
        try:
            return decode(item.path, short_side)
        except (ValueError, OSError, RuntimeError, MemoryError) as err:
            return describe(err)

    def batch_key(image: Tensor) -> object:
        return image.shape if scorer.batched else id(image)

    def forward(images: Sequence[Tensor]) -> list[_Outcome] | str:
        try:
            return _forward(scorer, images)
        except Exception as err:  # whatever a metric throws is the image's error, not the run's
            if len(images) > 1:
                return describe(err)
            return [_Outcome(float("nan"), describe(err), 0.0, *images[0].shape[-2:])]

    sized = ((batch, sum(item.height * item.width for item in batch)) for batch in batches)
    for images in decode_ahead(sized, decoded, workers):
        yield [_row(item, outcome) for item, outcome in score_each(images, forward, batch_key)]


@dataclass(frozen=True)
class _Outcome:
    """What came of an image at the size at which it met the metric."""

    score: float
    error: str
    seconds: float
    height: int
    width: int


def _forward(scorer: Scorer, images: Sequence[Tensor]) -> list[_Outcome]:
    assert scorer.score is not None
    batch = torch.stack(list(images)).to(scorer.device)
    start = time.perf_counter()
    scores = scorer.score(batch).detach().double().cpu().tolist()
    seconds = (time.perf_counter() - start) / len(images)
    if len(scores) != len(images):
        raise ValueError(f"the metric gave {len(scores)} scores for {len(images)} images")
    height, width = batch.shape[-2:]
    return [
        _Outcome(score, "", seconds, height, width)
        if abs(score) < float("inf")
        else _Outcome(float("nan"), f"score is {score}", seconds, height, width)
        for score in scores
    ]


def _row(item: Item, outcome: _Outcome | str) -> Row:
    if isinstance(outcome, str):  # not even decoded
        outcome = _Outcome(float("nan"), outcome, 0.0, item.height, item.width)
    return Row(item.digest, item.image, **asdict(outcome))


def describe(err: BaseException) -> str:
    """One line about an exception."""
    text = (str(err).strip().splitlines() or [""])[0]
    return f"{type(err).__name__}: {text}"[:500]
